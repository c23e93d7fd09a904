import type { Picture } from '../core/report.ts';

/** The first bytes of each kind, in hex; a dot is any digit. */
const KINDS: readonly { readonly mimeType: Picture['mimeType']; readonly start: RegExp }[] = [
  { mimeType: 'image/png', start: /^89504e470d0a1a0a/ },
  { mimeType: 'image/jpeg', start: /^ffd8ff/ },
  { mimeType: 'image/gif', start: /^47494638(?:37|39)61/ },
  { mimeType: 'image/webp', start: /^52494646.{8}57454250/ },
];

/** Returns a file as a picture if its first bytes are those of one: its name and its origin prove nothing. */
export function readPicture(bytes: Buffer): Picture | undefined {
  const hex = bytes.toString('hex', 0, 16);
  const kind = KINDS.find(({ start }) => start.test(hex));
  return kind === undefined ? undefined : { mimeType: kind.mimeType, data: bytes.toString('base64') };
}
