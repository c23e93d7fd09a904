/**
 * Keeps the rows of `dstack ps` whose name contains a text, with the jobs below them, and all other lines, verbatim. dstack indents a
 * run by one space, and its jobs by more.
 */
export function selectRows(stdout: string, name: string): string {
  const lines = stdout.split('\n');
  const header = lines.findIndex((line) => /^ ?NAME {2,}/.test(line));
  if (header === -1) return stdout;
  let isKept = true;
  const rows = lines.slice(header + 1).filter((line) => {
    const [, own] = /^ ?(\S+)/.exec(line) ?? [];
    isKept = own === undefined ? isKept : own.includes(name);
    return isKept;
  });
  return [...lines.slice(0, header + 1), ...rows].join('\n');
}
