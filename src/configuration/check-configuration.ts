import { setImmediate as nextTurn } from 'node:timers/promises';
import { nearestNames } from '../dstack/argv/nearest-names.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Introspection, Verdict } from '../dstack/warm/introspection.ts';
import { advise, namedVariables } from './advise.ts';
import type { Advice } from './advise.ts';
import { diagnose, findIgnored, withFixedNames } from './diagnose.ts';
import type { Evidence, Problem } from './diagnose.ts';
import { isPlainText, parseText } from './parse-text.ts';
import { renderAdvice, renderProblems } from './render-problems.ts';
import { isRecord } from './schema-index.ts';
import { notJudged, readIndex, shownAs } from './reference.ts';
import { readNamedEnvironment } from './named-environment.ts';
import type { VariableSources } from './named-environment.ts';

/** What a configuration came to. */
export interface Checked {
  readonly verdict: 'valid' | 'invalid' | 'unreadable';
  readonly problems: readonly Problem[];
  readonly advice: readonly Advice[];
  /** Variables that it names, and that are set nowhere that dstack would see. */
  readonly unsetVariables: readonly string[];
  /** All of it, as it is shown. */
  readonly transcript: Transcript;
}

/** A text to be judged. */
export interface CheckRequest {
  readonly text: string;
  readonly shownPath: string;
  /** The folder that it lies in, whose env files count; none for a text without a file. */
  readonly folder?: string | undefined;
}

/** What judges: dstack's interpreter, and where variables come from. */
export interface CheckSources extends VariableSources {
  cli(): Promise<{ readonly introspection: Introspection; readonly env: Readonly<Record<string, string | undefined>> }>;
}

/** The verdict of dstack's own parser on a configuration, or on profiles, with every problem in its place. */
export async function checkConfiguration(sources: CheckSources, request: CheckRequest): Promise<Checked> {
  const { text, shownPath, folder } = request;
  const { introspection } = await sources.cli();
  const ask = (asked: string, kind: Kind) => introspection.validate({ kind, text: asked });
  // dstack reads it while it is parsed here, unless it may be what the parsing here is there to refuse.
  const early = isPlainText(text) ? ask(text, 'configuration') : undefined;
  early?.catch(() => undefined);
  await nextTurn();
  const parsed = parseText(text, shownPath);
  const kind = kindOfText(parsed.value);
  const index = await readIndex(introspection);
  // A misspelt property hides other problems from dstack's parser: it is asked for those with the names mended as well.
  const mended = withFixedNames({ parsed, index, nearest: nearestNames });
  const [verdict, hidden, environment] = await Promise.all([
    kind === 'configuration' && early !== undefined ? early : ask(text, kind),
    mended === undefined ? undefined : ask(JSON.stringify(mended), kind),
    readNamedEnvironment(sources, folder, namedVariables(parsed.value)),
  ]);
  if (verdict === undefined) throw notJudged();
  const evidence: Evidence = { parsed, verdict, index, nearest: nearestNames, kind };
  const problems = withHidden(evidence, hidden);
  const advice = verdict.verdict === 'unreadable' ? [] : [...advise(parsed), ...ignoredAdvice(evidence)];
  const { unset, given, untaken } = environment;
  const parts = [
    renderProblems(text, shownPath, problems),
    renderAdvice(shownPath, advice),
    [...given.map((what) => `set: ${what}`), ...untaken.map((what) => `not taken: ${what}`)].join('\n'),
    verdict.text === '' ? '' : `dstack's own words:\n${verdict.text}`,
  ];
  return {
    verdict: verdict.verdict,
    problems,
    advice,
    unsetVariables: unset,
    transcript: shownAs(`validate ${shownPath}`, parts.filter(Boolean).join('\n\n')),
  };
}

type Kind = 'configuration' | 'profiles';

/** Profiles have no type of their own: dstack goes by the name of their file, and a text has none. */
const kindOfText = (value: unknown): Kind =>
  isRecord(value) && 'profiles' in value && !('type' in value) ? 'profiles' : 'configuration';

/** The problems of a configuration, with those that its misspelt names hid. */
function withHidden(evidence: Evidence, hidden: Verdict | undefined): readonly Problem[] {
  const problems = diagnose(evidence);
  if (evidence.verdict.verdict !== 'invalid' || hidden?.verdict !== 'invalid') return problems;
  const places = new Set(problems.map((problem) => problem.path));
  const more = diagnose({ ...evidence, verdict: hidden }).filter(
    ({ path: place, dstack }) => dstack !== undefined && !places.has(place),
  );
  return [...problems, ...more].sort((a, b) => a.position.line - b.position.line);
}

function ignoredAdvice(evidence: Evidence): readonly Advice[] {
  if (evidence.verdict.verdict !== 'valid') return [];
  return findIgnored(evidence).map(({ position, path: place, fix }) => ({
    id: 'ignored-property',
    line: position.line,
    why: `dstack reads this file without complaint, but takes no notice of \`${place}\`.`,
    how: fix,
  }));
}
