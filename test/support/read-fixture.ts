import { readFileSync } from 'node:fs';
import type { Transcript } from '../../src/core/transcript.ts';
import { fixture } from './paths.ts';

/** Reads a transcript that was recorded from a real dstack. */
export function readFixture(name: string, version = '0.22.5'): Transcript {
  const text = readFileSync(fixture('transcripts', version, `${name}.txt`), 'utf8');
  const [, command = '', code = '', stdout = '', stderr = ''] =
    /^\$ (.*)\nexit (\d+)\n--- stdout\n([\s\S]*?)--- stderr\n([\s\S]*)$/.exec(text) ?? [];
  if (command === '') throw new Error(`${name} isn't a recorded transcript`);
  return {
    command,
    stdout,
    stderr,
    omittedBytes: 0,
    exit: { kind: 'exited', code: Number(code) },
    durationMs: 1,
    ran: 'plain',
  };
}
