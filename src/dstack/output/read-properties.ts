/** The table of a plan's properties, and where it stood. */
export interface Properties {
  /** Label -> value, in dstack's own words: `Type` -> `task (nodes=1)`. */
  readonly values: Readonly<Record<string, string>>;
  readonly startLine: number;
  /** Index of the first line behind it. */
  readonly endLine: number;
}

// Every configurator's plan starts with this row (services/configurators/*.py, utils/run.py, services/presets/create.py).
const FIRST_ROW = /^ Project {2,}(?=\S)/;

/** Reads the table of properties with which each plan begins; undefined where there is none. */
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
    // A value wider than the terminal goes on in the next line, with the label left blank.
    if (label !== undefined) values[label] = key === '' ? `${values[label] ?? ''} ${value}`.trim() : value;
  }
  return { values, startLine, endLine: line };
}
