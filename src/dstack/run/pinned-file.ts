import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Executable } from './executable.ts';
import type { Transcript } from '../../core/transcript.ts';
import type { RunOptions } from './runner.ts';
import type { SpawnRequest } from './spawn-dstack.ts';

/** How dstack is made to read the approved bytes of a file. */
export type PinnedFile =
  | { readonly kind: 'none' }
  /** It gets them from memory. */
  | { readonly kind: 'held'; readonly pinned: NonNullable<SpawnRequest['pinned']> }
  /** The executable is no Python script: the file has the bytes now, and is looked at again afterwards. */
  | { readonly kind: 'checked'; readonly file: string; readonly bytes: Uint8Array }
  | { readonly kind: 'differs'; readonly reason: string };

export interface HoldOptions {
  readonly executable: Executable;
  readonly launcherPath: string;
  readonly options: Pick<RunOptions, 'cwd' | 'pinnedFile'>;
}

/** Finds the surest way to hold dstack to the pinned file's bytes. */
export async function pinFile({ executable, launcherPath, options }: HoldOptions): Promise<PinnedFile> {
  if (options.pinnedFile === undefined) return { kind: 'none' };
  const { bytes } = options.pinnedFile;
  const file = path.resolve(options.cwd ?? process.cwd(), options.pinnedFile.path);
  if (executable.interpreter !== undefined) return { kind: 'held', pinned: { launcherPath, path: file, bytes } };
  if (await hasBytes(file, bytes)) return { kind: 'checked', file, bytes };
  return { kind: 'differs', reason: `${file} no longer has the content that was approved` };
}

/** How the file was held, told when the command has ended. */
export async function readPinning(hold: PinnedFile): Promise<Pick<Transcript, 'pinning'>> {
  if (hold.kind === 'held') return { pinning: 'held' };
  if (hold.kind !== 'checked') return {};
  return { pinning: (await hasBytes(hold.file, hold.bytes)) ? 'checked' : 'changed' };
}

async function hasBytes(file: string, bytes: Uint8Array): Promise<boolean> {
  const content = await readFile(file).catch(() => undefined);
  return content !== undefined && content.equals(bytes);
}
