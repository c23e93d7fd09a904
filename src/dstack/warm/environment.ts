import type { WorkerInfo } from './protocol.ts';

/** How near to a command's own start the worker's help can begin, given the environment that the command asks for. */
export type EnvironmentFit =
  | { readonly kind: 'parked' | 'shallow'; readonly changed: Readonly<Record<string, string>> }
  /** A variable that is read on import differs: only a new process reads it again. */
  | { readonly kind: 'differs'; readonly name: string };

/** Widths from here on give the same parsers: argparse only wraps the usage of a command group at them. */
const PARSER_WIDTH = 60;

/** Compares a command's variables with those that the worker was started with. */
export function fitEnvironment(
  info: Pick<WorkerInfo, 'bakedAtImport' | 'bakedAtPark'>,
  base: Readonly<Record<string, string>>,
  wanted: Readonly<Record<string, string>>,
): EnvironmentFit {
  const changed = Object.fromEntries(Object.entries(wanted).filter(([name, value]) => base[name] !== value));
  const names = Object.keys(changed);
  const differing = names.find((name) => matches(name, info.bakedAtImport));
  if (differing !== undefined) return { kind: 'differs', name: differing };
  const inParsers = names.some(
    (name) => matches(name, info.bakedAtPark) && !isHarmlessWidth(name, base[name], changed[name]),
  );
  return { kind: inParsers ? 'shallow' : 'parked', changed };
}

const matches = (name: string, patterns: readonly string[]): boolean =>
  patterns.some((pattern) => (pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : name === pattern));

const isHarmlessWidth = (name: string, before = '', after = ''): boolean =>
  name === 'COLUMNS' && Number(before) >= PARSER_WIDTH && Number(after) >= PARSER_WIDTH;
