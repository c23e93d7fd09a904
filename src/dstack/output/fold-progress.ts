/**
 * Folds what carriage returns overwrite: each line keeps only the last state that a terminal would show, so that a progress bar of a
 * thousand updates is one line. `\r\n` is a plain end of line.
 */
export function foldProgress(text: string): string {
  return text.includes('\r') ? text.split('\n').map(foldLine).join('\n') : text;
}

/** The same for one line, without its end. */
function foldLine(line: string): string {
  if (!line.includes('\r')) return line;
  // A bar ends with a return and an empty state (`\r` before the newline): the state before it is what stays on the screen.
  return line.split('\r').findLast((state) => state !== '') ?? '';
}
