// The same rule as the server's for its own output (src/safety/untrusted.ts): names and words that others gave may hold characters
// that a person doesn't see and that turn what stands around them.
const CONTROLS = /(?![\t\n])\p{Cc}/gu;
const INVISIBLES = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2028\u2029]/gu;
const EMOJI_BEFORE = /[\p{Extended_Pictographic}0-9#*]\ufe0f?$/u;

/** Makes every character visible that would be invisible, turn the direction of the text, or control a terminal. */
export function toVisible(raw: string): string {
  return raw
    .replace(/\p{Surrogate}/gu, '\ufffd')
    .replace(/\r\n?/g, '\n')
    .replace(CONTROLS, pictureOf)
    .replace(INVISIBLES, (character, offset: number, whole: string) =>
      isPartOfEmoji(character, whole.slice(Math.max(0, offset - 3), offset)) ? character : nameOf(character),
    );
}

const isPartOfEmoji = (character: string, before: string): boolean =>
  (character === '\ufe0f' || character === '\u200d') && EMOJI_BEFORE.test(before);

const nameOf = (character: string): string =>
  `⟨U+${(character.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}⟩`;

function pictureOf(character: string): string {
  const code = character.charCodeAt(0);
  return code < 0x20 ? String.fromCharCode(0x2400 + code) : nameOf(character);
}

/** The start of a text that is longer than it may be, without half a character at its end; undefined where it isn't. */
export function cutStart(text: string, maxLength: number): string | undefined {
  if (text.length <= maxLength) return undefined;
  return `${text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** A text that is safe to show, cut where it is long: for places that have no room for the whole. */
export function shorten(raw: string, maxLength: number): string {
  const visible = toVisible(raw);
  return cutStart(visible, maxLength) ?? visible;
}

/** Takes away the fence that the server puts round words of strangers, and the command line before it: the view labels them itself. */
export function unfence(output: string): string {
  const withoutCommand = output.replace(/^\$ .*(?:\n|$)/, '');
  const [, boundary = '', body = ''] =
    /^\[untrusted output ([0-9a-f]+):[^\n]*\]\n([\s\S]*)$/.exec(withoutCommand) ?? [];
  if (boundary === '') return withoutCommand;
  const end = body.lastIndexOf(`\n[end of untrusted output ${boundary}]`);
  return end === -1 ? body : body.slice(0, end);
}
