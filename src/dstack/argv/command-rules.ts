import type { Effect } from '../../core/report.ts';
import type { DocumentedFlag } from './catalog-types.ts';

/** How one dstack command may be run. */
export interface CommandRule {
  readonly effect: Effect;
  /** Flags without which the command isn't run: a change that would ask, or that would block, never starts. */
  readonly needs: readonly string[];
  /** Flags that make it another command (or one that blocks), and so are refused here. */
  readonly refuses: readonly string[];
  /** Whether it takes the name of a resource. */
  readonly named: boolean;
}

const read = (named = false): CommandRule => ({ effect: 'read', needs: [], refuses: ['--yes', '--watch'], named });
const destroy = (named = true): CommandRule => ({ effect: 'destroy', needs: ['--yes'], refuses: [], named });

/**
 * The closed list of dstack commands that may be run, and what each does to the world. `apply` without `--yes` asks, is
 * answered with n, and so only shows a plan; with `--yes` it also needs `--detach`, without which it blocks.
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
  ['stop', [destroy()]],
  ['delete', [{ ...destroy(false), needs: ['--file', '--yes'] }]],
  ['fleet delete', [destroy()]],
  ['volume delete', [destroy()]],
  ['gateway delete', [destroy()]],
]);

/** The commands that may be run at all. */
export const RUNNABLE_COMMANDS: readonly string[] = [...COMMAND_RULES.keys()];

/** The rule that a command falls under with these flags; the first whose needs are all there, else the last. */
export function ruleOf(command: string, flags: ReadonlySet<string>): CommandRule | undefined {
  const rules = COMMAND_RULES.get(command);
  return rules?.find((rule) => rule.needs.every((flag) => flags.has(flag))) ?? rules?.at(-1);
}

/** Flags that belong to the tools: what is run, whether it asks, what it prints, and on what. A model can't give them. */
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

/** Flags that read files of the machine, carry secrets, or open something to others: only by the operator's leave. */
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

/** A documented flag that this list doesn't know by name still is the operator's when it says what it carries. */
const SENSITIVE =
  /(?:^|[-_])(?:identity|token|secret|password|passphrase|credentials?|key|file|path|dir|host|bind|address|url|exec|command)(?:$|[-_])/i;

/** Named like one of those, and harmless: it takes the name of a secret, never the value. */
const MODEL_FLAGS: ReadonlySet<string> = new Set(['--target-secret']);

/** Who may give a flag: the model, the operator's allow list only, or the tool alone. */
export function flagOwner(flag: DocumentedFlag): 'model' | 'operator' | 'tool' {
  if (TOOL_FLAGS.has(flag.long)) return 'tool';
  if (OPERATOR_FLAGS.has(flag.long)) return 'operator';
  if (MODEL_FLAGS.has(flag.long)) return 'model';
  const words = flag.value === 'none' ? flag.long : `${flag.long}_${flag.value.metavar}`;
  return SENSITIVE.test(words) ? 'operator' : 'model';
}
