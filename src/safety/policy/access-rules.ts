import type { AccessUse } from '../../core/change.ts';
import { forbidden, readOnlyRefusal, wildcard } from './policy-rules.ts';
import { DEFAULT_ACCESS_HOURS } from './policy.ts';
import type { Policy } from './policy.ts';

/** The policy's terms for a consent to use a run. */
export interface AccessTerms {
  /** Each use is asked for on its own. */
  readonly eachTime: boolean;
  readonly hours: number;
  /** The only commands; undefined if all are allowed. */
  readonly commands: readonly string[] | undefined;
}

/** Returns the terms of the policy for using runs. @throws ToolError `read-only` or `policy` if they may not be used */
export function accessTerms(policy: Policy, readOnly: boolean): AccessTerms {
  assertAccessAllowed(policy, readOnly, 'access to runs');
  const { each_time: eachTime = false, hours = DEFAULT_ACCESS_HOURS, commands } = policy.access ?? {};
  return { eachTime, hours, commands };
}

/** Returns the terms for requests with the user's token: a list of commands says nothing about them. @throws ToolError as above */
export function tokenTerms(policy: Policy, readOnly: boolean): AccessTerms {
  assertAccessAllowed(policy, readOnly, "a request with the user's token");
  return { eachTime: false, hours: policy.access?.hours ?? DEFAULT_ACCESS_HOURS, commands: undefined };
}

/** The tools for each use. */
const TOOLS = {
  exec: 'exec',
  upload: 'an upload by copy',
  download: 'a download from a place with secrets',
  request: 'a request that can start a replica',
} as const satisfies Record<AccessUse['what'], string>;

/** Checks that runs may be used at all. @throws ToolError `read-only`, or `policy` with the rule that forbids it */
function assertAccessAllowed({ access }: Policy, readOnly: boolean, tool: string): void {
  if (readOnly) throw readOnlyRefusal(tool);
  assertNotForbidden({ access });
}

/** Checks that runs may be used at all, even if only to read. @throws ToolError `policy` with the rule that forbids it */
export function assertNotForbidden({ access }: Pick<Policy, 'access'>): void {
  if (access?.never === true) throw forbidden('it allows no commands, no copies and no such requests');
}

/** Checks that runs may be used like this. @throws ToolError `read-only`, or `policy` with the rule that forbids it */
export function assertUseAllowed(policy: Policy, readOnly: boolean, { what, text, input }: AccessUse): void {
  assertAccessAllowed(policy, readOnly, TOOLS[what]);
  const commands = policy.access?.commands;
  if (commands === undefined) return;
  // A file or an input could make an allowed command do anything.
  if (what !== 'exec') throw forbidden(`it allows some commands only, and not ${TOOLS[what]}`);
  if (input !== undefined) throw forbidden('it allows some commands only, and no input for them');
  if (!commands.some((pattern) => isCommand(pattern, text)))
    throw forbidden(`it allows only the commands ${commands.map((one) => JSON.stringify(one)).join(', ')}`);
}

/** Plain words: the text of a star. Nothing in them can start another command, expand to something, or end a quote. */
const PLAIN = /^[\w@%+=:,./ -]*$/;

/** Whether a command line is the one of a pattern, with plain words for each `*`. One that could be split in several ways may not match. */
export const isCommand = (pattern: string, text: string): boolean =>
  wildcard(pattern, text, (words) => PLAIN.test(words));
