import { ToolError } from '../../core/errors.ts';
import type { Effect } from '../../core/report.ts';
import type { DocumentedFlag } from './command.ts';

/** The rules for one dstack command. */
export interface CommandRule {
  readonly effect: Effect;
  /** Required flags: a change that would prompt or block never starts. */
  readonly needs: readonly string[];
  /** Forbidden flags: they make it another command, or one that blocks. */
  readonly refuses: readonly string[];
  /** Whether it accepts the name of a resource. */
  readonly named: boolean;
}

const read = (named = false): CommandRule => ({ effect: 'read', needs: [], refuses: ['--yes', '--watch'], named });
const remove = (named = true): CommandRule => ({ effect: 'change', needs: ['--yes'], refuses: [], named });

/**
 * The closed list of dstack commands that can be run, with their effect. `apply` without `--yes` prompts, is answered with n and so
 * only shows a plan; with `--yes` it also requires `--detach`, without which it blocks.
 */
const COMMAND_RULES: ReadonlyMap<string, readonly CommandRule[]> = new Map<string, readonly CommandRule[]>([
  [
    'apply',
    [
      { effect: 'change', needs: ['--file', '--yes', '--detach'], refuses: [], named: false },
      { effect: 'read', needs: ['--file'], refuses: ['--yes', '--detach', '--force'], named: false },
    ],
  ],
  ['ps', [read()]],
  ['logs', [read(true)]],
  ['offer', [read()]],
  ['event', [read()]],
  ['event list', [read()]],
  ['metrics', [read(true)]],
  ['run get', [read(true)]],
  ['fleet', [read()]],
  ['fleet list', [read()]],
  ['fleet get', [read(true)]],
  ['volume', [read()]],
  ['volume list', [read()]],
  ['volume get', [read(true)]],
  ['gateway', [read()]],
  ['gateway list', [read()]],
  ['gateway get', [read(true)]],
  ['secret list', [read()]],
  ['preset', [read()]],
  ['preset list', [read()]],
  ['export list', [read()]],
  ['import list', [read()]],
  ['project list', [read()]],
  ['attach', [{ effect: 'change', needs: [], refuses: [], named: true }]],
  ['stop', [remove()]],
  ['delete', [{ ...remove(false), needs: ['--file', '--yes'] }]],
  ['fleet delete', [remove()]],
  ['volume delete', [remove()]],
  ['gateway delete', [remove()]],
]);

/** All commands that can be run. */
export const RUNNABLE_COMMANDS: readonly string[] = [...COMMAND_RULES.keys()];

/** Returns the rule of a command with these flags: the first whose required flags are all present, or else the last. */
export function ruleOf(command: string, flags: ReadonlySet<string>): CommandRule | undefined {
  const rules = COMMAND_RULES.get(command);
  return rules?.find((rule) => rule.needs.every((flag) => flags.has(flag))) ?? rules?.at(-1);
}

/** Flags that only tools set: what is run, whether it prompts, what it prints, and its target. A model can't pass them. */
const TOOL_FLAGS: ReadonlySet<string> = new Set([
  '--yes',
  '--no',
  '--detach',
  '--force',
  '--abort',
  '--file',
  '--project',
  '--id',
  '--instance',
  '--json',
  '--format',
  '--watch',
  '--follow',
  '--logs',
  '--help',
  '--version',
]);

/** Flags that read local files, carry secrets or open network access: only with the operator's permission. */
const OPERATOR_FLAGS: ReadonlySet<string> = new Set([
  '--ssh-identity',
  '--git-identity',
  '--token',
  '--env',
  '--host',
  '--repo',
  '--repo-branch',
  '--repo-hash',
]);

/** A documented flag that isn't listed still belongs to the operator if its name says what it carries. */
const SENSITIVE =
  /(?:^|[-_])(?:identity|token|secret|password|passphrase|credentials?|key|file|path|dir|host|bind|address|url|exec|command)(?:$|[-_])/i;

/** Harmless in spite of its name: it accepts the name of a secret, never the value. */
const MODEL_FLAGS: ReadonlySet<string> = new Set(['--target-secret']);

/** Returns who may use a flag: the model, the model if the operator's allow list permits it, or only the tool. */
export function flagOwner(flag: DocumentedFlag): 'model' | 'operator' | 'tool' {
  if (TOOL_FLAGS.has(flag.long)) return 'tool';
  if (OPERATOR_FLAGS.has(flag.long)) return 'operator';
  if (MODEL_FLAGS.has(flag.long)) return 'model';
  const words = flag.value === 'none' ? flag.long : `${flag.long}_${flag.value.metavar}`;
  return SENSITIVE.test(words) ? 'operator' : 'model';
}

const MAX_VALUE_BYTES = 4096;

/** dstack's own rule for the names of runs, fleets, volumes and gateways. */
const RESOURCE_NAME = /^[a-z][a-z0-9-]{1,40}$/;
const PROJECT_NAME = /^[A-Za-z0-9_-]{1,50}$/;

/** Control, invisible and bidirectional characters, unpaired surrogates, line separators, and spaces other than U+0020. */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|(?! )\p{Zs}/u;

/** Characters with a meaning in shells, but not in dstack's ranges, durations, prices and names. */
const SHELL_CHARACTERS = /[$`\\;|&<>]/;

/** Placeholders in help texts for a path, a URL or free text, which may contain any printable character. */
const FREE_TEXT = /^(?:FILE|PATH|DIR|REPO|URL|SSH_PRIVATE_KEY|OAUTH_TOKEN|KEY\[=VALUE\])$/;

/**
 * Rejects a text that could be parsed as a flag, that isn't entirely visible, or that contains what dstack's grammar doesn't need.
 * @throws ToolError `invalid-value` that explains the rule.
 */
function checkText(text: string, what: string, freeText: boolean): void {
  const refuse = (rule: string, hint: string): never => {
    throw new ToolError('invalid-value', `${what} ${rule}. Nothing was run.`, hint);
  };
  if (text === '') refuse('is empty', 'Pass a value, or omit the flag.');
  if (text.startsWith('-'))
    refuse(
      `starts with "-": ${JSON.stringify(text.slice(0, 80))} would be parsed as a flag`,
      'Pass a value that starts with another character.',
    );
  if (Buffer.byteLength(text) > MAX_VALUE_BYTES)
    refuse(`is longer than ${MAX_VALUE_BYTES} bytes`, 'Pass a shorter value.');
  const unprintable = UNPRINTABLE.exec(text)?.[0];
  if (unprintable !== undefined) {
    const code = unprintable.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0');
    refuse(
      `contains the character U+${code}, which is a control character or invisible`,
      'Use only printable characters.',
    );
  }
  const shell = freeText ? undefined : SHELL_CHARACTERS.exec(text)?.[0];
  if (shell !== undefined)
    refuse(
      `contains the character ${shell}`,
      'The characters $ ` \\ ; | & < > are not used in dstack values. Ranges look like 24GB..80GB.',
    );
}

/**
 * Checks one value of a flag and returns the argument for dstack.
 * @throws ToolError `invalid-value` or `invalid-name`.
 */
export function checkFlagValue(flag: DocumentedFlag, value: unknown): string {
  const what = `The value of ${flag.long}`;
  if (typeof value !== 'string' && typeof value !== 'number') {
    throw new ToolError(
      'invalid-value',
      `${what} must be a string or a number. Nothing was run.`,
      `Pass a string or a number for ${flag.long}: ${flag.help}`,
    );
  }
  if (typeof value === 'number' && !Number.isFinite(value)) {
    throw new ToolError(
      'invalid-value',
      `${what} must be a finite number. Nothing was run.`,
      `Pass a number for ${flag.long}: ${flag.help}`,
    );
  }
  const text = String(value);
  checkText(text, what, flag.value !== 'none' && FREE_TEXT.test(flag.value.metavar));
  if (flag.choices !== undefined && !flag.choices.includes(text)) {
    throw new ToolError(
      'invalid-value',
      `${what} is ${JSON.stringify(text.slice(0, 80))}. Nothing was run.`,
      `Allowed values: ${flag.choices.join(', ')}.`,
    );
  }
  if (flag.long === '--name') checkName(text);
  if (flag.long === '--project' && !PROJECT_NAME.test(text)) {
    throw new ToolError(
      'invalid-name',
      `${JSON.stringify(text.slice(0, 80))} isn't a valid dstack project name. Nothing was run.`,
      'A project name contains only letters, digits, - and _.',
    );
  }
  return text;
}

/**
 * Checks the name of a run, fleet, volume or gateway against dstack's own rule.
 * @throws ToolError `invalid-name`.
 */
export function checkName(name: string): string {
  if (RESOURCE_NAME.test(name)) return name;
  throw new ToolError(
    'invalid-name',
    `${JSON.stringify(name.slice(0, 80))} isn't a valid dstack resource name. Nothing was run.`,
    'A name is 2 to 41 characters long: a lowercase letter, then lowercase letters, digits and -.',
  );
}
