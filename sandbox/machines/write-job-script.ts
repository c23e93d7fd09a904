import { parseCommand, splitStatements } from './shell-text.ts';
import type { Statement } from './shell-text.ts';

/** Output of a job, and the delay before it. */
export interface JobStep {
  readonly delayMs: number;
  readonly text: string;
}

/** The end of a job. */
export type JobEnding =
  | { readonly kind: 'exit'; readonly exitCode: number; readonly delayMs: number }
  | { readonly kind: 'until-stopped' };

/** Everything that a simulated job will do. */
export interface JobScript {
  readonly steps: readonly JobStep[];
  readonly ending: JobEnding;
}

/** Input for a job's script. */
export interface JobScriptInput {
  readonly type: 'task' | 'service' | 'dev-environment';
  readonly commands: readonly string[];
  readonly variables: Readonly<Record<string, string>>;
  readonly opensPorts?: boolean;
  readonly node?: { readonly rank: number; readonly count: number };
  /** Returns the output of commands that the container knows, such as nvidia-smi. */
  readonly printCommand?: (command: string) => string | undefined;
}

const MAX_SLEEP_MS = 1500;
const ENDLESS_SLEEP_SECONDS = 60;
const MAX_STEPS = 2000;

/**
 * Derives a job's output, timing and ending from the run's configuration, without executing anything: a job behaves the same on systems
 * that can't isolate one, and ends in time.
 */
export function writeJobScript(input: JobScriptInput): JobScript {
  const state: State = {
    steps: [],
    waitedMs: 0,
    ending: undefined,
    variables: new Map(Object.entries(input.variables)),
    printCommand: input.printCommand ?? (() => undefined),
  };
  if (input.node && input.node.count > 1) print(state, `node ${input.node.rank} of ${input.node.count}\n`);
  interpret(splitStatements(input.commands.join('\n')), state);
  const staysUp = input.type !== 'task' || input.opensPorts === true;
  const exit: JobEnding = { kind: 'exit', exitCode: 0, delayMs: state.waitedMs };
  return { steps: state.steps, ending: state.ending ?? (staysUp ? { kind: 'until-stopped' } : exit) };
}

interface State {
  readonly steps: JobStep[];
  waitedMs: number;
  ending: JobEnding | undefined;
  readonly variables: Map<string, string>;
  readonly printCommand: (command: string) => string | undefined;
}

function print(state: State, text: string): void {
  if (state.steps.length >= MAX_STEPS) {
    state.ending = { kind: 'until-stopped' };
    return;
  }
  state.steps.push({ delayMs: state.waitedMs, text });
  state.waitedMs = 0;
}

function interpret(statements: readonly Statement[], state: State): void {
  for (let index = 0; index < statements.length && !state.ending; index += 1) {
    const statement = statements[index];
    if (!statement) return;
    const close = /^(?:for|while|until)\s/.test(statement.text) ? 'done' : /^if\s/.test(statement.text) ? 'fi' : '';
    if (close !== '') {
      const end = findClose(statements, index, close);
      if (close === 'done') repeat(statements.slice(index, end), state);
      else print(state, `+ ${statement.text}\n`);
      index = end;
      continue;
    }
    const exitCode = statement.joiner === 'background' ? startInBackground(statement, state) : run(statement, state);
    if (statement.joiner === 'or' && exitCode === 0) index += 1;
    else if (statement.joiner !== 'or' && exitCode !== 0) endWith(state, exitCode);
  }
}

function startInBackground({ text }: Statement, state: State): 0 {
  print(state, `+ ${text} &\n`);
  return 0;
}

function endWith(state: State, exitCode: number): void {
  state.ending ??= { kind: 'exit', exitCode, delayMs: state.waitedMs };
}

function findClose(statements: readonly Statement[], start: number, close: 'done' | 'fi'): number {
  const opens = close === 'done' ? /^(?:(?:do|then|else)\s+)?(?:for|while|until)\s/ : /^(?:(?:do|then|else)\s+)?if\s/;
  let depth = 0;
  for (let index = start; index < statements.length; index += 1) {
    const text = statements[index]?.text ?? '';
    if (opens.test(text)) depth += 1;
    if (new RegExp(`^${close}\\b`).test(text)) depth -= 1;
    if (depth === 0) return index;
  }
  return statements.length;
}

function repeat(loop: readonly Statement[], state: State): void {
  const [head, ...rest] = loop;
  if (!head) return;
  const body = rest
    .map(({ text, joiner }, index) => ({ text: index === 0 ? text.replace(/^do\b\s*/, '') : text, joiner }))
    .filter(({ text }) => text !== '');
  const [, name, list] = /^for\s+(\w+)\s+in\s+(.*)$/s.exec(head.text) ?? [];
  if (name !== undefined && list !== undefined) {
    for (const value of expandList(list, state)) {
      if (state.ending) return;
      state.variables.set(name, value);
      interpret(body, state);
    }
    return;
  }
  const pause = /^while\s+(sleep\s+\S+)$/.exec(head.text)?.[1];
  if (pause === undefined && !/^while\s+(?:true|:)$/.test(head.text)) return print(state, `+ ${head.text}\n`);
  const printedBefore = state.steps.length;
  do {
    if (pause !== undefined) run({ text: pause, joiner: 'then' }, state);
    interpret(body, state);
    // A loop without output would never reach MAX_STEPS.
    if (state.steps.length === printedBefore) state.ending ??= { kind: 'until-stopped' };
  } while (!state.ending);
}

function expandList(list: string, state: State): readonly string[] {
  const sequences = list.replaceAll(/\$\(seq ([^)]*)\)/g, (_match, numbers: string) => {
    const parsed = parseCommand(numbers, state.variables).words.map(Number);
    const [first = 1, last = 0, step = 1] =
      parsed.length === 1 ? [1, parsed[0]] : parsed.length === 3 ? [parsed[0], parsed[2], parsed[1]] : parsed;
    return countUp(first, last, step);
  });
  const braces = sequences.replaceAll(/\{(-?\d+)\.\.(-?\d+)\}/g, (_match, first: string, last: string) =>
    countUp(Number(first), Number(last), 1),
  );
  return parseCommand(braces, state.variables).words;
}

function countUp(first: number, last: number, step: number): string {
  const count = step > 0 ? Math.floor((last - first) / step) + 1 : 0;
  return Array.from({ length: Math.min(Math.max(count, 0), MAX_STEPS) }, (_, index) => first + index * step).join(' ');
}

function run({ text }: Statement, state: State): number {
  const { words, output } = parseCommand(text, state.variables);
  const [name = '', ...rest] = words;
  const assignment = /^(\w+)=(.*)$/s.exec(name === 'export' ? (rest[0] ?? '') : words.length === 1 ? name : '');
  if (assignment) state.variables.set(assignment[1] ?? '', assignment[2] ?? '');
  else if (output === 'pipe') print(state, `+ ${text}\n`);
  else if (name === 'echo') echo(rest, output, state);
  else if (name === 'sleep') sleep(rest[0] ?? '0', state);
  else if (name === 'exit') endWith(state, (Number(rest[0] ?? 0) || 0) & 255);
  else if (name === 'false') return 1;
  else if (name === 'tail' && text.includes('/dev/null')) state.ending = { kind: 'until-stopped' };
  else if (!['', 'true', ':', 'set', 'cd'].includes(name)) print(state, state.printCommand(text) ?? `+ ${text}\n`);
  return 0;
}

function echo(words: readonly string[], output: 'log' | 'file', state: State): void {
  if (output === 'file') return;
  const firstShown = words.findIndex((word) => !/^-[neE]+$/.test(word));
  const optionCount = firstShown === -1 ? words.length : firstShown;
  const isBare = words.slice(0, optionCount).some((word) => word.includes('n'));
  const shown = words.slice(optionCount).join(' ');
  print(state, isBare ? shown : `${shown}\n`);
}

function sleep(duration: string, state: State): void {
  const [, amount = '0', unit = 's'] = /^(\d*\.?\d+)([smhd]?)$/.exec(duration) ?? [];
  const seconds = Number(amount) * ({ m: 60, h: 3600, d: 86_400 }[unit] ?? 1);
  if (duration === 'infinity' || seconds >= ENDLESS_SLEEP_SECONDS) state.ending = { kind: 'until-stopped' };
  else state.waitedMs += Math.min(seconds * 1000, MAX_SLEEP_MS);
}
