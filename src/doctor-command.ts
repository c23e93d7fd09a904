import type { Engine } from './engine.ts';
import { createCallTime } from './powers/call-time.ts';
import { createCommandRunner } from './powers/command-runner.ts';
import { examine } from './powers/doctor.ts';

const MARKS = { ok: '✓', warning: '!', wrong: '✗' } as const;

/** Prints what `doctor` found; gives the exit code: 0 where nothing is wrong, else 1. */
export async function runDoctor(
  engine: Engine,
  { json, print }: { json: boolean; print: (text: string) => void },
): Promise<number> {
  const { signal } = new AbortController();
  const time = createCallTime({ timeoutMs: engine.settings.timeoutMs, signal, progress: undefined });
  const { checks } = await examine(engine, undefined, createCommandRunner(engine, time));
  if (json) print(JSON.stringify({ checks }, null, 2));
  for (const { name, state, found, mend } of json ? [] : checks) {
    print(`${MARKS[state]} ${name.padEnd(12)} ${found}`);
    if (mend !== undefined) print(`  ${' '.repeat(12)} ${mend}`);
  }
  return checks.some((check) => check.state === 'wrong') ? 1 : 0;
}
