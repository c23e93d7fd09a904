import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';

/** Creates a folder for the temporary files of a process and its children. */
export async function makeTemporary(): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'cmd-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true, maxRetries: 3 }));
  return folder;
}

/** Reads a stream until it has printed these words. @throws Error if it ends before */
export function readUntil(stream: Readable, words: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = '';
    stream.on('data', (chunk: Buffer | string) => {
      text += chunk.toString();
      if (text.includes(words)) resolve(text);
    });
    stream.once('end', () => reject(new Error(`It ended before "${words}":\n${text}`)));
  });
}
