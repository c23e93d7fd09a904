/** The rows of a table that were selected, verbatim. */
interface SelectedRows {
  readonly text: string;
  readonly omittedRows: number;
}

/**
 * Keeps the rows of `dstack ps` whose name contains a text, with the jobs below them, and all other lines. dstack indents a
 * run by one space, and its jobs by more.
 */
export function selectRows(stdout: string, name: string): SelectedRows {
  const lines = stdout.split('\n');
  const header = lines.findIndex((line) => /^ ?NAME {2,}/.test(line));
  if (header === -1) return { text: stdout, omittedRows: 0 };
  let isKept = true;
  let omittedRows = 0;
  const rows = lines.slice(header + 1).filter((line) => {
    const [, own] = /^ ?(\S+)/.exec(line) ?? [];
    if (own !== undefined) {
      isKept = own.includes(name);
      if (!isKept) omittedRows += 1;
    }
    return isKept;
  });
  return { text: [...lines.slice(0, header + 1), ...rows].join('\n'), omittedRows };
}
