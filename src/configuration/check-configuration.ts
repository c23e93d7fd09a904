import { setImmediate as nextTurn } from 'node:timers/promises';
import { isRunType } from '../core/dstack-terms.ts';
import { isRecord, plural } from '../core/values.ts';
import { ownText } from '../core/transcript.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Introspection, Verdict } from '../dstack/warm/introspection.ts';
import { diagnose, findIgnored, withFixedNames } from './diagnose.ts';
import type { Diagnosis, DiagnosisInput, Problem } from './diagnose.ts';
import { namedVariables, readNamedEnvironment } from './env-files.ts';
import type { NamedEnvironment, VariableSources } from './env-files.ts';
import { maskConfiguration } from './mask-configuration.ts';
import { codeFrame, isPlainText, locate, parseText } from './configuration-text.ts';
import type { ParsedText } from './configuration-text.ts';
import { parserUnavailable, readIndex } from './schema-index.ts';

/** The result of checking a configuration. */
export interface CheckResult {
  readonly verdict: 'valid' | 'invalid' | 'unreadable';
  readonly problems: readonly Problem[];
  /** The number of further problems, if there are very many. */
  readonly omitted: number;
  readonly advice: readonly Advice[];
  /** Variables that the configuration names and that aren't set anywhere dstack looks. */
  readonly unsetVariables: readonly string[];
  /** The whole result as text. */
  readonly transcript: Transcript;
}

export interface CheckRequest {
  readonly text: string;
  readonly shownPath: string;
  /** The folder of the file, whose env files are read; undefined for a text without a file. */
  readonly folder?: string | undefined;
}

/** Checks a configuration, or profiles. */
export type CheckConfiguration = (request: CheckRequest) => Promise<CheckResult>;

/** dstack's interpreter, and the sources of variables. */
interface CheckSources extends VariableSources {
  cli(): Promise<{
    readonly introspection: Pick<Introspection, 'validate' | 'schemas'>;
    readonly env: Readonly<Record<string, string | undefined>>;
  }>;
}

/**
 * Validates a configuration or profiles with dstack's own parser, and locates every problem.
 * @throws ToolError `invalid-file` for a text beyond the limits, `cli-not-understood` if the parser can't be called.
 */
export async function checkConfiguration(
  sources: CheckSources,
  { text, shownPath, folder }: CheckRequest,
): Promise<CheckResult> {
  const { introspection } = await sources.cli();
  const validate = (asked: string, kind: Kind) => introspection.validate({ kind, text: asked });
  // dstack parses it in parallel, unless the limits here may reject it.
  const early = isPlainText(text) ? validate(text, 'configuration') : undefined;
  early?.catch(() => undefined);
  await nextTurn();
  const parsed = parseText(text, shownPath);
  const masked = maskConfiguration(text);
  sources.envFiles.learn(masked.secrets);
  const kind = kindOf(parsed.value);
  const index = await readIndex(introspection);
  // A misspelled property hides other problems from dstack's parser, so it checks the text with fixed names, too.
  const fixed = withFixedNames({ parsed, index });
  const [verdict, hidden, environment] = await Promise.all([
    kind === 'configuration' && early !== undefined ? early : validate(text, kind),
    fixed === undefined ? undefined : validate(JSON.stringify(fixed), kind),
    readNamedEnvironment(sources, folder, namedVariables(parsed.value)),
  ]);
  if (verdict === undefined) throw parserUnavailable();
  const input: DiagnosisInput = { parsed, verdict, index, kind };
  const { problems, omitted } = withHidden(input, hidden);
  const advice = verdict.verdict === 'unreadable' ? [] : [...advise(parsed, fixed), ...ignoredAdvice(input)];
  return {
    verdict: verdict.verdict,
    problems,
    omitted,
    advice,
    unsetVariables: environment.unset,
    transcript: ownText(
      [
        problems.map((problem) => formatProblem(masked.text, shownPath, problem)).join('\n\n'),
        omitted === 0 ? '' : `And ${plural(omitted, 'more problem')}: fix these first.`,
        advice.map(({ line, id, why, how }) => `${shownPath}:${line}: advice (${id}): ${why}\n  ${how}`).join('\n'),
        formatEnvironment(environment),
        verdict.text === '' || isRepeated(verdict, problems) ? '' : `dstack's output:\n${verdict.text}`,
      ]
        .filter(Boolean)
        .join('\n\n'),
    ),
  };
}

/** Whether the problems have all messages of dstack's output. */
function isRepeated(verdict: Verdict, problems: Diagnosis['problems']): boolean {
  const shown = problems.flatMap(({ dstack }) => dstack ?? []);
  if (problems.length > 0 && shown.length === problems.length) return true;
  return verdict.problems.length > 0 && verdict.problems.every(({ message }) => shown.includes(message));
}

type Kind = 'configuration' | 'profiles';

/** Profiles have no type. dstack recognizes them by their file name, which a text doesn't have. */
const kindOf = (value: unknown): Kind =>
  isRecord(value) && 'profiles' in value && !('type' in value) ? 'profiles' : 'configuration';

/** Returns the problems of a configuration: with those that its misspelled names hid, and without those that they cause. */
function withHidden(input: DiagnosisInput, hidden: Verdict | undefined): Diagnosis {
  const { problems, omitted } = diagnose(input);
  if (input.verdict.verdict !== 'invalid' || hidden === undefined || hidden.verdict === 'unreadable')
    return { problems, omitted };
  const left = diagnose({ ...input, verdict: hidden }).problems;
  // `comands` alone lets dstack miss `commands`.
  const own = problems.filter(({ path, dstack }) => path !== '' || left.some((one) => one.dstack === dstack));
  const paths = new Set(own.map((problem) => problem.path));
  const more = left.filter(({ path, dstack }) => dstack !== undefined && !paths.has(path));
  return { problems: [...own, ...more].sort((a, b) => a.position.line - b.position.line), omitted };
}

function ignoredAdvice(input: DiagnosisInput): readonly Advice[] {
  if (input.verdict.verdict !== 'valid') return [];
  return findIgnored(input).map(({ position, path, fix }) => ({
    id: 'ignored-property',
    line: position.line,
    why: `dstack accepts this file, but ignores \`${path}\`.`,
    how: fix,
  }));
}

/** Formats a problem as compilers do: position, source line, dstack's message, fix, description and reference. */
function formatProblem(text: string, file: string, problem: Problem): string {
  const { position, path, dstack, fix, about, reference } = problem;
  const lines = [
    `${file}:${position.line}:${position.column}: error${path === '' ? '' : ` in ${path}`}`,
    codeFrame(text, position),
    ...(dstack === undefined ? [] : [`dstack: ${dstack}`]),
    `fix: ${fix}`,
    ...(about === undefined ? [] : [`about: ${about}`]),
    `see: ${reference}`,
  ];
  return lines.join('\n');
}

const formatEnvironment = ({ given, skipped }: NamedEnvironment): string =>
  [...given.map((one) => `set: ${one}`), ...skipped.map((one) => `skipped: ${one}`)].join('\n');

/** Advice on something that dstack accepts but that may be unintended. Never blocks anything. */
interface Advice {
  readonly id: string;
  readonly line: number;
  readonly why: string;
  readonly how: string;
}

type Value = Readonly<Record<string, unknown>>;

interface Rule {
  readonly id: string;
  /** Returns the paths that it applies to. */
  readonly at: (value: Value) => readonly (readonly string[])[];
  readonly why: string;
  readonly how: string;
}

const SECRET_NAME = /(?:token|secret|password|passwd|api_?key|access_?key|credential|private_?key)/i;
const SECRET_VALUE = /^(?:hf_|sk-|ghp_|github_pat_|AKIA|xox[bp]-|glpat-)\w/;
const OPENAI_SERVER =
  /\bvllm\s+serve\b|vllm\.entrypoints\.openai|sglang\.launch_server|\btrtllm-serve\b|text-generation-launcher/;
const isRun = ({ type }: Value): boolean => typeof type === 'string' && isRunType(type);
const when = (applies: boolean, ...path: string[]): string[][] => (applies ? [path] : []);
const commandsOf = (value: Value): unknown[] => (Array.isArray(value['commands']) ? value['commands'] : []);
const text = (value: unknown): string => (typeof value === 'string' ? value : '');

/** Yields the variables in `env` that have a literal value, with their paths. */
function* envEntries(value: Value): Generator<{ name: string; literal: string; path: string[] }> {
  const env = value['env'];
  if (Array.isArray(env)) {
    for (const [at, item] of env.entries()) {
      const [, name, literal] = /^(\w+)=(.*)$/s.exec(text(item)) ?? [];
      if (name !== undefined) yield { name, literal: literal ?? '', path: ['env', String(at)] };
    }
  } else if (isRecord(env)) {
    for (const [name, literal] of Object.entries(env))
      if (literal !== null) yield { name, literal: text(literal), path: ['env', name] };
  }
}

const isReference = (literal: string): boolean => /^\s*$|\$\{\{/.test(literal);

/** Returns true if the last line is a comment or ends a heredoc: the commands joined to it with ` && ` become part of it. */
function swallows(command: string): boolean {
  const lines = command.trimEnd().split('\n');
  const last = lines.at(-1) ?? '';
  const heredoc = /<<-?\s*(["']?)(\w+)\1/.exec(command)?.[2];
  return /(?:^|\s)#[^'"]*$/.test(last) || (heredoc !== undefined && last.trim() === heredoc);
}

/** The rules: patterns, why they matter, and how to fix them. */
const RULES: readonly Rule[] = [
  {
    id: 'no-name',
    at: (value) => when(typeof value['type'] === 'string' && value['type'] !== 'profiles' && !value['name']),
    why: 'without a `name` each apply gets a new one, so applying the file again creates another run instead of updating this one.',
    how: 'Add `name: my-name` (lowercase letters, digits and hyphens).',
  },
  {
    id: 'literal-secret',
    at: (value) =>
      [...envEntries(value)]
        .filter(({ name, literal }) => !isReference(literal) && (SECRET_NAME.test(name) || SECRET_VALUE.test(literal)))
        .map(({ path }) => path),
    why: 'this is a literal secret, and both dstack and version control store the file.',
    how: "Write only the variable's name (`- HF_TOKEN`) and set it in dstack's environment, or use a dstack secret: `HF_TOKEN: ${{ secrets.hf_token }}`.",
  },
  {
    id: 'swallowed-command',
    at: (value) =>
      commandsOf(value).flatMap((command, at) =>
        when(at < commandsOf(value).length - 1 && swallows(text(command)), 'commands', String(at)),
      ),
    why: 'commands are joined by ` && `: a trailing comment or the end of a heredoc swallows the commands after it.',
    how: 'Move the comment out of the string, put this command last, or move it to a script.',
  },
  {
    id: 'unquoted-version',
    at: (value) => when(value['python'] === 3.1, 'python'),
    why: 'YAML reads an unquoted 3.10 as the number 3.1, which only some releases of dstack treat as 3.10.',
    how: 'Quote it: `python: "3.10"`.',
  },
  {
    id: 'python-with-image',
    at: (value) => when(isRun(value) && Boolean(value['image']) && value['python'] !== undefined, 'python'),
    why: '`python` is for dstack’s default image and has no effect with a custom `image`.',
    how: 'Remove `python`, or remove `image`.',
  },
  {
    id: 'service-without-model',
    at: (value) =>
      when(
        value['type'] === 'service' &&
          !value['model'] &&
          OPENAI_SERVER.test([...commandsOf(value).map(text), text(value['image'])].join('\n')),
      ),
    why: 'this looks like an OpenAI-compatible server, and without `model` it is missing from the gateway’s model endpoint.',
    how: 'Add `model:` with the name of the model that the server serves.',
  },
  {
    id: 'no-idle-duration',
    at: (value) => when(value['type'] === 'fleet' && !value['ssh_config'] && value['idle_duration'] === undefined),
    why: 'without `idle_duration` the idle instances of a cloud fleet keep running, and cost money, for dstack’s default duration.',
    how: 'Add `idle_duration: 10m`, or the time to keep them.',
  },
  {
    id: 'nodes-without-cluster',
    at: (value) => when(value['type'] === 'task' && Number(value['nodes']) > 1 && !value['fleets'], 'nodes'),
    why: 'several nodes need a fleet with `placement: cluster`; without one there are no offers.',
    how: 'fleet lists the fleets: name one in `fleets`.',
  },
  {
    id: 'volume-elsewhere',
    at: (value) =>
      when(
        isRun(value) &&
          Array.isArray(value['volumes']) &&
          value['volumes'].some(isNetworkVolume) &&
          !value['regions'] &&
          !value['backends'],
        'volumes',
      ),
    why: 'a network volume can be attached only in its own backend and region; there are no offers elsewhere.',
    how: 'Get its backend and region from get with type "volume", and set `backends` and `regions` to them.',
  },
];

function isNetworkVolume(volume: unknown): boolean {
  if (typeof volume === 'string') return /^[a-z]/.test(volume);
  return isRecord(volume) && 'name' in volume;
}

/**
 * Returns the advice on a configuration, in file order. Never includes values of variables. `fixed` is the configuration without its
 * misspelled names: a property isn't missing because its name is misspelled.
 */
export function advise(parsed: ParsedText, fixed?: Value): readonly Advice[] {
  const value = fixed ?? parsed.value;
  if (!isRecord(value)) return [];
  return RULES.flatMap(({ id, at, why, how }) =>
    at(value).map((path) => {
      const name = id === 'literal-secret' ? `${variableAt(parsed, path)}: ` : '';
      return { id, line: locate(parsed, path).key.line, why: `${name}${why}`, how };
    }),
  ).sort((a, b) => a.line - b.line);
}

function variableAt(parsed: ParsedText, path: readonly string[]): string {
  const [, last = ''] = path;
  if (!/^\d+$/.test(last)) return last;
  return text(parsed.document.getIn(['env', Number(last)])).split('=', 1)[0] ?? '';
}
