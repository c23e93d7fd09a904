/** One row of a table that dstack printed. */
export interface TableRow {
  /** 0 for a resource, 1 for what belongs to it (an instance of a fleet, a replica or job of a run): dstack indents those. */
  readonly level: 0 | 1;
  /** Column name -> cell, trimmed; `''` where the cell is blank. */
  readonly cells: Readonly<Record<string, string>>;
  /** What stood in columns without a name, such as the availability behind the price of an offer. */
  readonly unnamed: readonly string[];
}

/** A table as dstack printed it. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly TableRow[];
  /** True where dstack left rows out and printed `...` in their place. */
  readonly cutShort: boolean;
  /** Index of the first line behind the table, in the lines of the text. */
  readonly endLine: number;
}

interface Column {
  readonly name: string;
  readonly start: number;
}

// rich draws these tables without borders: names in capitals, each cell left-aligned under its name, two spaces between
// columns (one of padding on each side). `#` and `$/GPU` are the two names that aren't words.
const COLUMN_NAME = /(?:#|\$\/GPU|[A-Z][A-Z]*(?: [A-Z]+)*)(?= {2}|\s*$)/g;
const HEADER = /^ ?(?:#|\$\/GPU|[A-Z]{2,}(?: [A-Z]+)*)(?: {2,}(?:\$\/GPU|[A-Z]{2,}(?: [A-Z]+)*))+\s*$/;
const CELL_GAP = / {2,}/;

// rich counts these as two cells of a terminal, JavaScript as one character: without a filler, the columns behind them shift.
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\uFF01-\uFF60]/gu;
const FILLER = '\u0000';

/** The text with each character at the column where a terminal shows it. */
function layOut(line: string): string {
  return line.replace(WIDE, (char) => (char.length === 2 ? char : char + FILLER));
}

function readColumns(line: string): Column[] {
  return [...line.matchAll(COLUMN_NAME)].map((match) => ({ name: match[0], start: match.index }));
}

/** The raw cells of a line, or undefined where the line doesn't fit the columns, and so isn't part of the table. */
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

interface RowDraft {
  readonly level: 0 | 1;
  readonly cells: Record<string, string>;
  readonly unnamed: string[];
}

/** Adds a line that rich wrapped to the row that it continues. */
function continueRow(row: RowDraft, cells: readonly string[], columns: readonly Column[]): void {
  columns.forEach(({ name }, index) => {
    const more = cells[index]?.trim() ?? '';
    if (more !== '') row.cells[name] = `${row.cells[name] ?? ''} ${more}`.trim();
  });
}

function draftRow(cells: readonly string[], columns: readonly Column[]): RowDraft {
  const row: RowDraft = { level: /^\s/.test(cells[0] ?? '') ? 1 : 0, cells: {}, unnamed: [] };
  columns.forEach(({ name }, index) => {
    // A column without a name lies inside the slice of the named column before it, set off by a gap.
    const [first = '', ...others] = (cells[index] ?? '').trim().split(CELL_GAP);
    row.cells[name] = first;
    row.unnamed.push(...others);
  });
  return row;
}

/** Reads the first table at or behind a line; undefined where the text holds none. */
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
