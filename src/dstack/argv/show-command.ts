const PLAIN_WORD = /^[\w@%+=:,./-]+$/;

/** The command as a person would type it into a shell, quoted where a shell would read it otherwise. */
export function showCommand(argv: readonly string[]): string {
  return ['dstack', ...argv.map(quoteWord)].join(' ');
}

const quoteWord = (word: string): string =>
  PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
