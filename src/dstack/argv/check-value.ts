import { ToolError } from '../../core/errors.ts';
import type { DocumentedFlag } from './catalog-types.ts';

const MAX_VALUE_BYTES = 4096;

/** dstack's own rule for the names of runs, fleets, volumes and gateways. */
const RESOURCE_NAME = /^[a-z][a-z0-9-]{1,40}$/;
const PROJECT_NAME = /^[A-Za-z0-9_-]{1,50}$/;

/** Controls, invisible and bidirectional characters, unpaired surrogates, line separators, and spaces other than the plain one. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;

/** Characters that mean something to a shell, and nothing in dstack's ranges, durations, prices and names. */
const SHELL_CHARACTERS = /[$`\\;|&<>]/;

/** What a value stands for by its placeholder in the help text: these hold a path, an address or free text, with any printable character. */
const FREE_TEXT = /^(?:FILE|PATH|DIR|REPO|URL|SSH_PRIVATE_KEY|OAUTH_TOKEN|KEY\[=VALUE\])$/;

/**
 * Refuses a text that could be read as a flag, that a person can't see whole, or that carries what dstack's grammar doesn't need.
 * @throws ToolError `invalid-value` with the rule in words.
 */
function checkText(text: string, what: string, freeText: boolean): void {
  const refuse = (rule: string, hint: string): never => {
    throw new ToolError('invalid-value', `${what} ${rule}. Nothing was run.`, hint);
  };
  if (text === '') refuse('is empty', 'Give a value, or leave the flag out.');
  if (text.startsWith('-'))
    refuse(
      `starts with "-": ${JSON.stringify(text.slice(0, 80))} would be read as a flag`,
      'Give a value that starts with another character.',
    );
  if (Buffer.byteLength(text) > MAX_VALUE_BYTES)
    refuse(`is longer than ${MAX_VALUE_BYTES} bytes`, 'Give a shorter value.');
  const unprintable = UNPRINTABLE.exec(text)?.[0];
  if (unprintable !== undefined) {
    const code = unprintable.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
    refuse(`holds the character U+${code}, which is a control or can't be seen`, 'Give printable characters only.');
  }
  const shell = freeText ? undefined : SHELL_CHARACTERS.exec(text)?.[0];
  if (shell !== undefined)
    refuse(
      `holds the character ${shell}`,
      'None of $ ` \\ ; | & < > has a meaning in a dstack value. A range is written 24GB..80GB.',
    );
}

/**
 * Checks one value of a flag and gives it as the word that dstack gets.
 * @throws ToolError `invalid-value` or `invalid-name`.
 */
export function checkFlagValue(flag: DocumentedFlag, value: unknown): string {
  const what = `The value of ${flag.long}`;
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new ToolError(
      'invalid-value',
      `${what} is no text and no number. Nothing was run.`,
      `Give ${flag.long} a text or a number: ${flag.help}`,
    );
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new ToolError(
      'invalid-value',
      `${what} is no finite number. Nothing was run.`,
      `Give ${flag.long} a number: ${flag.help}`,
    );
  }
  const text = String(value);
  checkText(text, what, flag.value !== 'none' && FREE_TEXT.test(flag.value.metavar));
  if (flag.choices !== undefined && !flag.choices.includes(text)) {
    throw new ToolError(
      'invalid-value',
      `${what} is ${JSON.stringify(text.slice(0, 80))}. Nothing was run.`,
      `dstack documents: ${flag.choices.join(', ')}.`,
    );
  }
  if (flag.long === '--name') checkName(text);
  if (flag.long === '--project' && !PROJECT_NAME.test(text)) {
    throw new ToolError(
      'invalid-name',
      `${JSON.stringify(text.slice(0, 80))} is no name of a dstack project. Nothing was run.`,
      'A project name has letters, digits, - and _.',
    );
  }
  return text;
}

/**
 * Checks the name of a run, fleet, volume or gateway by dstack's own rule.
 * @throws ToolError `invalid-name`.
 */
export function checkName(name: string): string {
  if (RESOURCE_NAME.test(name)) return name;
  throw new ToolError(
    'invalid-name',
    `${JSON.stringify(name.slice(0, 80))} is no name of a dstack resource. Nothing was run.`,
    'A name starts with a small letter and goes on with small letters, digits and -: 2 to 41 characters in all.',
  );
}
