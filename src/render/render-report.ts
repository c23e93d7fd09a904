import type { Outcome, Printed, Report } from '../core/report.ts';
import { fenceText, formatTranscript } from './format-transcript.ts';

/** What is done to every text before it is shown; made by the safety layer. */
export interface OutputFilters {
  /** Masks the secrets that this server knows. */
  readonly redact: (text: string) => string;
  /** Fences and labels the words of programs and people that we don't know. */
  readonly fence: (text: string) => string;
}

/** A result for both kinds of client: those that show the model the text, and those that show it the structure. */
export interface Rendered {
  readonly isError: boolean;
  readonly text: string;
  readonly structured: Record<string, unknown>;
}

/** About 10,000 tokens: clients refuse results of more than 25,000, and a reader wants far less. */
const MAX_CHARS = 40_000;

/** Makes both channels from one report; each stands alone. */
export function renderReport(report: Report<Record<string, unknown>>, treatment: OutputFilters): Rendered {
  const pieces = report.printed.map((printed) =>
    showPrinted(printed, treatment, Math.floor(MAX_CHARS / report.printed.length)),
  );
  const facts = Object.fromEntries(Object.entries(report.facts).filter(([, value]) => value !== undefined));
  const text = [
    report.summary,
    ...pieces.map((piece) => fenceText(piece.text)),
    `outcome: ${report.outcome}${describeFacts(facts)}`,
    ...(report.next === undefined ? [] : [`Next: ${report.next}`]),
  ];
  const structured = {
    outcome: report.outcome,
    summary: report.summary,
    output: pieces.map((piece) => piece.text).join('\n\n'),
    ...(report.next === undefined ? {} : { next: report.next }),
    ...(pieces.some((piece) => piece.omittedChars > 0) ? { truncated: true } : {}),
    ...facts,
  };
  return {
    isError: isError(report.outcome),
    text: treatment.redact(text.join('\n\n')),
    structured: redactValues(structured, treatment),
  };
}

/** Whether MCP calls such a result an error. */
export const isError = (outcome: Outcome): boolean => outcome === 'failed' || outcome === 'refused';

function showPrinted(
  printed: Printed,
  treatment: OutputFilters,
  maxChars: number,
): { text: string; omittedChars: number } {
  return formatTranscript(printed.transcript, {
    maxChars: Math.min(maxChars, printed.maxChars ?? maxChars),
    keep: printed.keep ?? 'start',
    ...(printed.rest === undefined ? {} : { rest: printed.rest }),
    redact: treatment.redact,
    fence: (text) => (printed.untrusted && text !== '' ? treatment.fence(text) : text),
  });
}

/** The facts that fit on a line, those of one nested object with its name before them; lists stand in the output above already. */
function describeFacts(facts: Readonly<Record<string, unknown>>): string {
  const words = Object.entries(facts).flatMap(([name, value]) =>
    isObject(value)
      ? Object.entries(value).flatMap(([inner, one]) => describeFact(`${name}.${inner}`, one))
      : describeFact(name, value),
  );
  return words.length === 0 ? '' : ` | ${words.join(' | ')}`;
}

function describeFact(name: string, value: unknown): string[] {
  if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean')
    return [`${name}: ${value}`];
  return isShortList(value) ? [`${name}: ${value.join(', ')}`] : [];
}

const isObject = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const isShortList = (value: unknown): value is (string | number)[] =>
  Array.isArray(value) &&
  value.length > 0 &&
  value.length <= 20 &&
  value.every((item) => typeof item === 'string' || typeof item === 'number');

/** A walk over values, not over the JSON text: masking inside the text could break its escapes. */
function redactValues(record: Record<string, unknown>, treatment: OutputFilters): Record<string, unknown> {
  const walk = (value: unknown): unknown => {
    if (typeof value === 'string') return treatment.redact(value);
    if (Array.isArray(value)) return value.map(walk);
    if (typeof value === 'object' && value !== null) return redactValues({ ...value }, treatment);
    return value;
  };
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, walk(value)]));
}
