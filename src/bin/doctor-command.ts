import type { App } from '../app.ts';
import { createDeadline } from '../core/deadline.ts';
import { createDstackClient } from '../dstack/client/dstack-client.ts';
import { examine } from '../doctor/doctor.ts';

const MARKS = { ok: '✓', warning: '!', error: '✗' } as const;

/** Prints what `doctor` found; gives the exit code: 0 where nothing is wrong, else 1. */
export async function runDoctor(
  engine: App,
  { json, print }: { json: boolean; print: (text: string) => void },
): Promise<number> {
  const { signal } = new AbortController();
  const time = createDeadline({ timeoutMs: engine.settings.timeoutMs, signal, progress: undefined });
  const { checks } = await examine(engine, undefined, createDstackClient(engine, time));
  if (json) print(JSON.stringify({ checks }, null, 2));
  for (const { name, state, found, fix } of json ? [] : checks) {
    print(`${MARKS[state]} ${name.padEnd(12)} ${found}`);
    if (fix !== undefined) print(`  ${' '.repeat(12)} ${fix}`);
  }
  return checks.some((check) => check.state === 'error') ? 1 : 0;
}
