const PLAIN_WORD = /^[\w@%+=:,./-]+$/;

/** Quotes a word for a POSIX shell, if necessary. Every command that a person is advised to run is quoted by it. */
const quoteWord = (word: string): string =>
  PLAIN_WORD.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;

/** Formats a command as it would be typed into a shell. */
export const joinWords = (words: readonly string[]): string => words.map(quoteWord).join(' ');
