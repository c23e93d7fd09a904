import type { ErrorCode } from '../../../src/core/errors.ts';

/** The codes with which attempts are refused. */
export const CODES = {
  unknownFlag: 'unknown-flag',
  forbiddenFlag: 'forbidden-flag',
  invalidValue: 'invalid-value',
  invalidInput: 'invalid-input',
  invalidName: 'invalid-name',
  invalidFile: 'invalid-file',
  outsideWorkspace: 'outside-workspace',
  notAConfiguration: 'not-a-configuration',
  fileNotFound: 'file-not-found',
  tokenUnknown: 'token-unknown',
  unknownCommand: 'unknown-command',
  policy: 'policy',
} as const satisfies Record<string, ErrorCode>;

export type Code = (typeof CODES)[keyof typeof CODES];
