// The same rule as the server's (src/render/untrusted.ts): untrusted text may contain characters that are invisible or that reverse
// the direction of the text around them.
const CONTROLS = /(?![\t\n])\p{Cc}/gu;
const INVISIBLES = /[\p{Default_Ignorable_Code_Point}\p{Cf}\u2028\u2029]/gu;
const EMOJI_BEFORE = /[\p{Extended_Pictographic}0-9#*]\ufe0f?$/u;

/** Makes characters visible that are invisible, change the text direction or control a terminal. */
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

/** Truncates a text that is too long, without splitting a surrogate pair. Returns undefined if it isn't. */
export function cutStart(text: string, maxLength: number): string | undefined {
  if (text.length <= maxLength) return undefined;
  return `${text.slice(0, maxLength).replace(/[\ud800-\udbff]$/, '')}…`;
}

/** Makes a text visible and truncates it, for places that have no room for all of it. */
export function shorten(raw: string, maxLength: number): string {
  const visible = toVisible(raw);
  return cutStart(visible, maxLength) ?? visible;
}

/** Removes the server's fence around untrusted output and the command line before it, since the card labels the output itself. */
export function unfence(output: string): string {
  const withoutCommand = output.replace(/^\$ .*(?:\n|$)/, '');
  const [, boundary = '', body = ''] =
    /^\[untrusted output ([0-9a-f]+):[^\n]*\]\n([\s\S]*)$/.exec(withoutCommand) ?? [];
  if (boundary === '') return withoutCommand;
  const end = body.lastIndexOf(`\n[end of untrusted output ${boundary}]`);
  return end === -1 ? body : body.slice(0, end);
}
