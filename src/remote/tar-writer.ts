/** The facts of one entry that this server writes. */
export interface TarEntry {
  /** With `/` between the parts. */
  readonly name: string;
  readonly kind: 'file' | 'folder';
  readonly size: number;
  readonly modifiedMs: number;
  readonly executable: boolean;
}

const BLOCK = 512;
const NAME_BYTES = 100;
/** GNU tar reads whole records. */
const RECORD = 20 * BLOCK;

/**
 * Returns the header of an entry, in GNU's format: busybox ignores the extended headers of the POSIX format, so that names that are
 * long or not ASCII would be lost.
 */
export function tarHeader(entry: TarEntry): Buffer {
  const name = Buffer.from(entry.kind === 'folder' ? `${entry.name}/` : entry.name);
  if (name.length <= NAME_BYTES) return header({ ...entry, bytes: name, type: entry.kind === 'folder' ? '5' : '0' });
  const long = Buffer.concat([name, Buffer.alloc(1)]);
  return Buffer.concat([
    header({ kind: 'file', size: long.length, modifiedMs: 0, executable: false, bytes: LONG_LINK, type: 'L' }),
    long,
    tarPadding(long.length),
    header({ ...entry, bytes: name.subarray(0, NAME_BYTES), type: entry.kind === 'folder' ? '5' : '0' }),
  ]);
}

const LONG_LINK = Buffer.from('././@LongLink');

/** Returns what fills the last block of a content. */
export const tarPadding = (size: number): Buffer => Buffer.alloc((BLOCK - (size % BLOCK)) % BLOCK);

/** Returns the end of an archive of this many bytes. */
export const tarEnd = (written: number): Buffer =>
  Buffer.alloc(2 * BLOCK + ((RECORD - ((written + 2 * BLOCK) % RECORD)) % RECORD));

interface HeaderFields extends Omit<TarEntry, 'name'> {
  readonly bytes: Uint8Array;
  readonly type: '0' | '5' | 'L';
}

function header({ bytes, type, kind, size, modifiedMs, executable }: HeaderFields): Buffer {
  const block = Buffer.alloc(BLOCK);
  block.set(bytes);
  block.write(kind === 'folder' || executable ? '0000755' : '0000644', 100);
  // Owner and group: root's, whoever has the file here.
  block.write('0000000', 108);
  block.write('0000000', 116);
  writeNumber(block, size, 124);
  writeNumber(block, Math.max(0, Math.floor(modifiedMs / 1_000)), 136);
  block.write('        ', 148);
  block.write(type, 156);
  block.write('ustar  \0', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return block;
}

/** Writes an octal number of 11 digits; a larger one in GNU's binary form. */
function writeNumber(block: Buffer, value: number, at: number): void {
  if (value < 8 ** 11) block.write(value.toString(8).padStart(11, '0'), at);
  else {
    block[at] = 0x80;
    block.writeUIntBE(value, at + 6, 6);
  }
}
