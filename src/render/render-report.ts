import { WHOLE_CHARS } from '../core/report.ts';
import type { Outcome, Picture, Printed, Report } from '../core/report.ts';
import { isRecord } from '../core/values.ts';
import { fenceText, formatTranscript } from './format-transcript.ts';
import { cleanBlock, cleanFacts, cleanLine } from './untrusted.ts';
import type { CleanText } from './untrusted.ts';
import { maskPlaces, secretPlace } from './mask-secrets.ts';

/** Filters for every text that is shown. */
export interface OutputFilters {
  /** Masks the secrets that this server knows. */
  readonly redact: (text: string) => string;
  /** Fences and labels output of unknown programs and people. */
  readonly fence: (clean: CleanText) => string;
}

/** A result for both kinds of clients: those that show the model the text, and those that show it the structured content. */
export interface Rendered {
  readonly isError: boolean;
  readonly text: string;
  readonly structured: Record<string, unknown>;
  readonly pictures: readonly Picture[];
}

/** All output of a result together, unless more was asked for: about 1,800 tokens, which leaves room for the facts within 8 KB. */
const MAX_CHARS = 7_000;
/** The maximum for an error of dstack or its server, which may be longer. */
const MAX_SUMMARY_CHARS = 8_000;
/** A list of hundreds of files or checks fits; one of jobs or instances is cut by its own limit. */
const MAX_DETAILS_CHARS = 20_000;
const MAX_NEXT_CHARS = 4_000;
/** On the line of facts; the structured content has all of it. */
const MAX_FACT_CHARS = 2_000;

/**
 * Renders a report as text and as structured content. Each is complete without the other. Each piece is cleaned, then masked on its own:
 * a mask over the whole could start in what a job wrote, and remove the end of its fence.
 */
export function renderReport(report: Report<Record<string, unknown>>, filters: OutputFilters): Rendered {
  const show = (text: string, maxChars: number): string => filters.redact(cleanBlock(text, maxChars));
  // A line break in an error or a name must not start a line that looks like one of this server's own.
  const showLine = (text: string, maxChars: number): string => joinLines(show(text, maxChars));
  const pieces = report.printed
    .map((printed) => showPrinted(printed, filters, report.printed.length))
    .filter(({ text }) => text !== '');
  const facts = redactValues(maskFacts(cleanFacts(report.facts)), filters);
  const summary = showLine(report.summary, MAX_SUMMARY_CHARS);
  const details = show((report.details ?? []).map(joinLines).join('\n'), MAX_DETAILS_CHARS);
  const next = report.next === undefined ? undefined : showLine(report.next, MAX_NEXT_CHARS);
  const body = [
    [summary, details].filter((part) => part !== '').join('\n'),
    ...pieces.map((piece) => fenceText(piece.text)),
  ];
  const above = body.join('\n\n');
  const text = [
    above,
    ...(above.includes('\n') ? [''] : []),
    `outcome: ${report.outcome}${describeFacts(facts, report.details !== undefined)}`,
    ...repeatHeadline(above),
    ...(next === undefined ? [] : [`Next: ${next}`]),
  ];
  const structured = {
    outcome: report.outcome,
    summary: [summary, details].filter((part) => part !== '').join('\n'),
    output: pieces.map((piece) => piece.text).join('\n\n'),
    ...(next === undefined ? {} : { next }),
    ...(pieces.some((piece) => piece.omittedChars > 0) ? { truncated: true } : {}),
    ...facts,
  };
  return {
    isError: isError(report.outcome),
    text: text.join('\n'),
    structured,
    pictures: report.pictures ?? [],
  };
}

/** Puts a text on one line. */
function joinLines(text: string): string {
  const lines = text.split(/[\n\r]+/);
  if (lines.length === 1) return text;
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' ');
}

/** A headline is one sentence or two. */
const MAX_HEADLINE_CHARS = 300;
/** A shorter text is read at a glance, and no host was seen to cut one for its model: they start at 8,000 characters, in the middle. */
const SHORT_CHARS = 1_000;

/** Returns the first line of a long text, for its end: Codex shows its person the last three lines alone. */
function repeatHeadline(text: string): string[] {
  if (text.length <= SHORT_CHARS) return [];
  return [cleanLine(text.split('\n', 1)[0] ?? '', MAX_HEADLINE_CHARS)];
}

/** Masks secrets in the facts that come from dstack's JSON. The confirmation token is this server's own, and has to be shown. */
function maskFacts(facts: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return Object.fromEntries(
    known.map(([name, value]) => [name, name === 'token' ? value : maskPlaces(value, secretPlace(name))]),
  );
}

/** Whether a result with this outcome is an error in MCP's terms. */
export const isError = (outcome: Outcome): boolean => outcome === 'failed' || outcome === 'refused';

function showPrinted(printed: Printed, filters: OutputFilters, pieces: number): { text: string; omittedChars: number } {
  const maxChars = Math.min(printed.maxChars ?? Math.floor(MAX_CHARS / pieces), Math.floor(WHOLE_CHARS / pieces));
  return formatTranscript(printed.transcript, {
    maxChars,
    keep: printed.keep ?? 'start',
    rest: printed.rest,
    redact: filters.redact,
    fence: (clean) => (printed.untrusted && clean.text !== '' ? filters.fence(clean) : clean.text),
  });
}

/** The facts that another call needs, or that sum up the result. */
const HANDLES: ReadonlySet<string> = new Set([
  'code',
  'token',
  'expiresAt',
  'hash',
  'older',
  'newer',
  'reached',
  'healthy',
]);

/** Formats the facts that fit on one line. What is nested or longer is part of the text above, and so is the rest if it has details. */
function describeFacts(facts: Readonly<Record<string, unknown>>, hasDetails: boolean): string {
  const shown = Object.entries(facts).filter(([name]) => !hasDetails || HANDLES.has(name));
  const words = shown.flatMap(([name, value]) => describeFact(name, value));
  return words.length === 0 ? '' : ` | ${words.join(' | ')}`;
}

function describeFact(name: string, value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return [`${name}: ${cleanLine(String(value), MAX_FACT_CHARS)}`];
  return isShortList(value) ? [`${name}: ${cleanLine(value.join(', '), MAX_FACT_CHARS)}`] : [];
}

const isShortList = (value: unknown): value is (string | number)[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.length <= 20 &&
  value.every((item) => typeof item === 'string' || typeof item === 'number');

/** Redacts the values of a record. Redacting its JSON text instead could break escapes. */
function redactValues(record: Readonly<Record<string, unknown>>, filters: OutputFilters): Record<string, unknown> {
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return filters.redact(value);
    if (Array.isArray(value)) return value.map(walk);
    if (isRecord(value)) return redactValues(value, filters);
    return value;
  };
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, walk(value)]));
}
