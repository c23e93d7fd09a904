/** Where an entry is in a client's configuration: the key that holds the servers, and the server's name. */
export interface EntryPlace {
  readonly key: string;
  readonly name: string;
}

/** Reads and changes one entry of a text, and leaves everything else of it as it is written. */
export interface ConfigEditor {
  /** The entry; `undefined` where there is none. @throws UnreadableText */
  get(text: string, place: EntryPlace): unknown;
  /** The text with this entry in place of the one that may be there. @throws UnreadableText, UneditableText */
  set(text: string, place: EntryPlace, entry: Readonly<Record<string, unknown>>): string;
  /** The text without the entry. @throws UnreadableText, UneditableText */
  remove(text: string, place: EntryPlace): string;
  /** The entry as a person would paste it. */
  show(place: EntryPlace, entry: Readonly<Record<string, unknown>>): string;
}

/** The text isn't what its ending says, and where. */
export class UnreadableText extends Error {
  override readonly name = 'UnreadableText';
  readonly line: number;

  constructor(line: number, problem: string) {
    super(problem);
    this.line = line;
  }
}

/** The text is sound, but written in a way in which the entry can't be changed without touching more than it. */
export class UneditableText extends Error {
  override readonly name = 'UneditableText';
}

/** The line of a place in a text, from 1. */
export const lineOf = (text: string, offset: number): number => text.slice(0, offset).split('\n').length;

/** How lines end in a text. */
export const lineEndOf = (text: string): '\r\n' | '\n' => (text.includes('\r\n') ? '\r\n' : '\n');

/** Whether a value is an object with keys, as a section of servers has to be. */
export const isSection = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
