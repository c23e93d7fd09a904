import { cleanText } from '../../render/untrusted.ts';

const WINDOWS_DEVICE =
  /^(?:con|prn|aux|nul|com[0-9\u00B9\u00B2\u00B3]|lpt[0-9\u00B9\u00B2\u00B3]|conin\$|conout\$)(?:\.|$)/i;

/** Returns why the text alone of a path makes it invalid, without touching the disk; undefined if it is fine. */
export function findPathProblem(text: string, platform: NodeJS.Platform): string | undefined {
  if (text.trim() === '') return 'it is empty';
  if (text.length > 4096) return 'it is longer than 4096 characters';
  const clean = cleanText(text);
  if (clean.text !== text || /[\t\n]/.test(text)) return 'it contains control or invisible characters';
  // A drive has one letter; two or more letters before the colon are a URL scheme.
  if (/^[a-z][a-z0-9+.-]+:/i.test(text)) return 'it is a URL, not a path';
  const segments = text.split(platform === 'win32' ? /[\\/]/ : '/');
  // Refused instead of resolved: after a link, `..` is a different folder for the kernel than for string operations.
  if (segments.includes('..')) return 'it contains `..`';
  if (isSystemPath(text)) return 'it is in a folder of devices or processes';
  return platform === 'win32' ? findWindowsProblem(text, segments) : undefined;
}

/** Whether a path is below /proc, /sys or /dev. Shared memory (/dev/shm) has ordinary files. */
export const isSystemPath = (absolute: string): boolean => /^\/+(?:proc|sys|dev(?!\/+shm\/))(?:\/|$)/.test(absolute);

function findWindowsProblem(text: string, segments: readonly string[]): string | undefined {
  if (/^[\\/]{2}/.test(text)) return 'it is a network or device path';
  if (text.replace(/^[a-z]:(?=[\\/])/i, '').includes(':')) return 'it names a drive without a folder, or a data stream';
  if (segments.some((segment) => WINDOWS_DEVICE.test(segment))) return 'it names a device';
  // Windows ignores them: `x.dstack.yml.` opens `x.dstack.yml`.
  if (segments.some((segment) => /[. ]$/.test(segment) && segment !== '.'))
    return 'a part of it ends with a dot or a space';
  return undefined;
}

/** Kinds of files that this server reads, determined by name. */
export type FileKind = 'configuration' | 'profile' | 'env';

/** Returns the kind of a file by its path relative to the working directory; undefined for any other file. */
export function fileKindOf(relativePath: string): FileKind | undefined {
  const segments = relativePath.split(/[\\/]/);
  const name = segments.at(-1) ?? '';
  if (/\.dstack\.ya?ml$/.test(name)) return 'configuration';
  if (segments.at(-2) === '.dstack' && /^profiles\.ya?ml$/.test(name)) return 'profile';
  return name === '.env' || name === '.envrc' ? 'env' : undefined;
}
