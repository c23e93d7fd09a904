/** One row of a table that dstack printed. */
export interface TableRow {
  /** 0 for a resource, 1 for its parts (an instance of a fleet, a replica or job of a run), which dstack indents. */
  readonly level: 0 | 1;
  /** Trimmed cells by column name; `''` if blank. */
  readonly cells: Readonly<Record<string, string>>;
  /** Cells in columns without a name, such as the availability after the price of an offer. */
  readonly unnamed: readonly string[];
}

/** A table as dstack printed it. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
  /** Whether dstack omitted rows and printed `...` in their place. */
  readonly cutShort: boolean;
  /** Index of the first line after the table. */
  readonly endLine: number;
}

interface Column {
  readonly name: string;
  readonly start: number;
}

// rich draws these tables without borders: uppercase names, each cell left-aligned under its name, two spaces between
// columns (one of padding on each side). `#` and `$/GPU` are the only names that aren't words.
const COLUMN_NAME = /(?:#|\$\/GPU|[A-Z][A-Z]*(?: [A-Z]+)*)(?= {2}|\s*$)/g;
const HEADER = /^ ?(?:#|\$\/GPU|[A-Z]{2,}(?: [A-Z]+)*)(?: {2,}(?:\$\/GPU|[A-Z]{2,}(?: [A-Z]+)*))+\s*$/;
const CELL_GAP = / {2,}/;

// rich counts these as two terminal cells, JavaScript as one character: without a filler, the columns after them shift.
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uFF01-\uFF60]/gu;
const FILLER = '\u0000';

/** Returns the text with each character at its terminal column. */
function layOut(line: string): string {
  return line.replace(WIDE, (char) => (char.length === 2 ? char : char + FILLER));
}

function readColumns(line: string): Column[] {
  return [...line.matchAll(COLUMN_NAME)].map((match) => ({ name: match[0], start: match.index }));
}

/** Returns the raw cells of a line; undefined if it doesn't fit the columns, so that it isn't part of the table. */
function sliceCells(line: string, columns: readonly Column[]): string[] | undefined {
  const laid = layOut(line);
  const fits = columns.slice(1).every(({ start }) => laid.slice(Math.max(0, start - 2), start).trim() === '');
  if (!fits || laid.slice(0, columns[0]?.start).trim() !== '') return undefined;
  return columns.map(({ start }, index) =>
    laid
      .slice(start, columns[index + 1]?.start)
      .replaceAll(FILLER, '')
      .trimEnd(),
  );
}

type RowDraft = TableRow & { readonly cells: Record<string, string> };

/** Adds a line that rich wrapped to the row it continues. */
function continueRow(row: RowDraft, cells: readonly string[], columns: readonly Column[]): void {
  for (const [index, { name }] of columns.entries())
    row.cells[name] = `${row.cells[name] ?? ''} ${cells[index]?.trim() ?? ''}`.trim();
}

function draftRow(cells: readonly string[], columns: readonly Column[]): RowDraft {
  // A column without a name is inside the slice of the named column before it, separated by a gap.
  const parts = columns.map(({ name }, index) => ({ name, texts: (cells[index] ?? '').trim().split(CELL_GAP) }));
  return {
    level: /^\s/.test(cells[0] ?? '') ? 1 : 0,
    cells: Object.fromEntries(parts.map(({ name, texts }) => [name, texts[0] ?? ''])),
    unnamed: parts.flatMap(({ texts }) => texts.slice(1)),
  };
}

/** Parses the first table at or after a line; undefined if there is none. */
export function readTable(lines: readonly string[], fromLine = 0): Table | undefined {
  const headerLine = lines.findIndex((line, index) => index >= fromLine && HEADER.test(line));
  if (headerLine === -1) return undefined;
  const columns = readColumns(lines[headerLine] ?? '');
  const rows: RowDraft[] = [];
  let cutShort = false;
  let line = headerLine + 1;
  for (; line < lines.length; line += 1) {
    const text = lines[line] ?? '';
    const cells = text.trim() === '' ? undefined : sliceCells(text, columns);
    const last = rows.at(-1);
    if (cells === undefined) break;
    if (cells.filter((cell) => cell.trim() !== '').join() === '...') cutShort = true;
    else if (cells[0]?.trim() === '' && last !== undefined) continueRow(last, cells, columns);
    else rows.push(draftRow(cells, columns));
  }
  return { columns: columns.map(({ name }) => name), rows, cutShort, endLine: line };
}

/** The table of a plan's properties and its position. */
export interface Properties {
  /** Values by label, verbatim: `Type` -> `task (nodes=1)`. */
  readonly values: Readonly<Record<string, string>>;
  readonly startLine: number;
  /** Index of the first line after it. */
  readonly endLine: number;
}

// Every configurator's plan starts with this row (services/configurators/*.py, utils/run.py, services/presets/create.py).
const FIRST_ROW = /^ Project {2,}(?=\S)/;

/** Parses the table of properties at the start of each plan; undefined if there is none. */
export function readProperties(lines: readonly string[]): Properties | undefined {
  const startLine = lines.findIndex((line) => FIRST_ROW.test(line));
  const valueStart = FIRST_ROW.exec(lines[startLine] ?? '')?.[0].length;
  if (valueStart === undefined) return undefined;
  const values: Record<string, string> = {};
  let label: string | undefined;
  let line = startLine;
  for (; line < lines.length; line += 1) {
    const text = lines[line] ?? '';
    if (!text.startsWith(' ') || text.trim() === '') break;
    const key = text.slice(0, valueStart).trim();
    const value = text.slice(valueStart).trim();
    if (key !== '') label = key;
    // A value wider than the terminal continues on the next line, with a blank label.
    if (label !== undefined) values[label] = key === '' ? `${values[label] ?? ''} ${value}`.trim() : value;
  }
  return { values, startLine, endLine: line };
}
