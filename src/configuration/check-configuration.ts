import { setImmediate as nextTurn } from 'node:timers/promises';
import { plural } from '../core/format-values.ts';
import { isRecord } from '../core/values.ts';
import { ownText } from '../core/transcript.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Introspection, Verdict } from '../dstack/warm/introspection.ts';
import { advise } from './advise.ts';
import type { Advice } from './advise.ts';
import { diagnose, findIgnored, withFixedNames } from './diagnose.ts';
import type { Diagnosis, DiagnosisInput, Problem } from './diagnose.ts';
import { namedVariables, readNamedEnvironment } from './env-files.ts';
import type { NamedEnvironment, VariableSources } from './env-files.ts';
import { maskConfiguration } from './mask-configuration.ts';
import { codeFrame, isPlainText, parseText } from './parse-text.ts';
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
export interface CheckSources extends VariableSources {
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
