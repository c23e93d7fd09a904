import type { Printed, Report } from '../tool.ts';

/** What is done to every text before it is shown; made by the safety layer. */
export interface Treatment {
  /** Masks the secrets that this server knows. */
  redact(text: string): string;
  /** Fences and labels the words of programs and people that we don't know. */
  fence(text: string): string;
  /** Cuts a text that is longer than a result may be, saying what was left out. */
  cut(text: string, how: { keep: 'start' | 'end'; rest: string | undefined; omittedBytes: number }): { text: string; cut: boolean };
}

/** A result for both kinds of client: those that show the model the text, and those that show it the structure. */
export interface Rendered {
  readonly isError: boolean;
  readonly text: string;
  readonly structured: Record<string, unknown>;
}

/** Makes both channels from one report; each stands alone. */
export function renderReport(report: Report<Record<string, unknown>>, treatment: Treatment): Rendered {
  const pieces = report.printed.map((printed) => showPrinted(printed, treatment));
  const summary = treatment.redact(report.summary);
  const facts = Object.fromEntries(Object.entries(report.facts).filter(([, value]) => value !== undefined));
  const output = pieces.map((piece) => piece.plain).join('\n\n');
  const text = [
    summary,
    ...pieces.map((piece) => piece.fenced),
    `outcome: ${report.outcome}${describeFacts(facts)}`,
    ...(report.next === undefined ? [] : [`Next: ${treatment.redact(report.next)}`]),
  ];
  return {
    isError: report.outcome === 'failed' || report.outcome === 'refused',
    text: treatment.redact(text.join('\n\n')),
    structured: redactDeep(
      {
        outcome: report.outcome,
        summary,
        output,
        ...(report.next === undefined ? {} : { next: report.next }),
        ...(pieces.some((piece) => piece.cut) ? { truncated: true } : {}),
        ...facts,
      },
      treatment,
    ),
  };
}

function showPrinted(printed: Printed, treatment: Treatment): { plain: string; fenced: string; cut: boolean } {
  const { transcript } = printed;
  const streams = [transcript.stdout, transcript.stderr].map((text) => text.trim()).filter((text) => text !== '');
  const { text, cut } = treatment.cut(treatment.redact(trimLines(streams.join('\n'))), {
    keep: printed.keep ?? 'start',
    rest: printed.rest,
    omittedBytes: transcript.omittedBytes,
  });
  const shown = printed.untrusted ? treatment.fence(text) : text;
  const ticks = '`'.repeat(Math.max(3, longestRunOfTicks(shown) + 1));
  const command = treatment.redact(`$ ${transcript.command}`);
  return { plain: `${command}\n${shown}`, fenced: `${ticks}\n${command}\n${shown}\n${ticks}`, cut };
}

// rich pads each line of a table to its full width: the spaces at the end say nothing and cost tokens.
const trimLines = (text: string): string => text.replace(/[ \t]+$/gm, '');

const longestRunOfTicks = (text: string): number => Math.max(0, ...(text.match(/`+/g) ?? []).map((run) => run.length));

/** The facts that fit on a line; lists stand in the output above already. */
function describeFacts(facts: Readonly<Record<string, unknown>>): string {
  const words = Object.entries(facts).flatMap(([name, value]) => {
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') return [`${name}: ${value}`];
    if (isShortList(value)) return [`${name}: ${value.join(', ')}`];
    return [];
  });
  return words.length === 0 ? '' : ` | ${words.join(' | ')}`;
}

const isShortList = (value: unknown): value is (string | number)[] =>
  Array.isArray(value) && value.length > 0 && value.length <= 20 && value.every((item) => typeof item === 'string' || typeof item === 'number');

function redactDeep(value: Record<string, unknown>, treatment: Treatment): Record<string, unknown> {
  // A walk over values, not over the JSON text: masking inside the text could break its escapes.
  const walk = (item: unknown): unknown => {
    if (typeof item === 'string') return treatment.redact(item);
    if (Array.isArray(item)) return item.map(walk);
    if (typeof item === 'object' && item !== null) return Object.fromEntries(Object.entries(item).map(([key, inner]) => [key, walk(inner)]));
    return item;
  };
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, walk(inner)]));
}
