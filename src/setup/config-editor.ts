/** The location of an entry in a client's configuration: the section with the servers, and the server's name. */
export interface EntryPlace {
  /** The keys that lead to the section. */
  readonly section: readonly string[];
  readonly name: string;
  /** The section is a list of entries with a `name`, instead of an object by name. */
  readonly isList?: boolean;
}

/** Reads and changes one entry of a text, and keeps the rest exactly as written. */
export interface ConfigEditor {
  /** Returns the entry; `undefined` if there is none. @throws UnreadableText */
  get(text: string, place: EntryPlace): unknown;
  /** Returns the text with the entry added or replaced. @throws UnreadableText, UneditableText */
  set(text: string, place: EntryPlace, entry: Readonly<Record<string, unknown>>): string;
  /** Returns the text without the entry. @throws UnreadableText, UneditableText */
  remove(text: string, place: EntryPlace): string;
  /** Returns the entry as a person would paste it. */
  show(place: EntryPlace, entry: Readonly<Record<string, unknown>>): string;
}

/** The text isn't valid in its format; `line` says where. */
export class UnreadableText extends Error {
  override readonly name = 'UnreadableText';
  readonly line: number;

  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}

/** The text is valid, but the entry can't be changed without changing other parts of it. */
export class UneditableText extends Error {
  override readonly name = 'UneditableText';
}

/** Returns the line number of an offset, from 1. */
export const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** Returns the line ending that a text uses. */
export const lineEndOf = (text: string): '\r\n' | '\n' => (text.includes('\r\n') ? '\r\n' : '\n');
