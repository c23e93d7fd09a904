import type { Effect } from '../../core/report.ts';
import type { DocumentedFlag } from './catalog.ts';

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
