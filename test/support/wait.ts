import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, TestClient } from './connect.ts';

/** Calls `get` until the run has the status; on a busy machine, a single call reaches its deadline first. */
export async function waitForRun(client: TestClient, name: string, state: string): Promise<Answer> {
  for (;;) {
    const answer = await client.call('get', { name, wait_for: state });
    const status = String(answer.facts['status']);
    if (answer.facts['reached'] === true) return answer;
    if (answer.isError || ['failed', 'done', 'terminated'].includes(status))
      throw new Error(`${name} is ${status}, not ${state}: ${answer.text}`);
  }
}

const SHORTEST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 600;

/** Repeats a call until its value matches, less and less often: most calls cost more than the wait. The test's timeout ends it. */
export async function until<T>(ask: () => Promise<T>, isWanted: (value: T) => boolean): Promise<T> {
  for (let pauseMs = SHORTEST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    const value = await ask();
    if (isWanted(value)) return value;
    await delay(pauseMs);
  }
}

/** Reads the run's log until dstack's output contains the words. The text around it doesn't count, for example why a log is empty. */
export function waitForLog(client: TestClient, run: string, words: string): Promise<Answer> {
  return until(
    () => client.call('logs', { run }),
    ({ facts }) => String(facts['output']).includes(words),
  );
}

export interface Deletion {
  readonly preview: Answer;
  readonly deleted: Answer;
}

/**
 * Deletes by the token of a preview. Repeats both if nothing was deleted because dstack's server was processing the resource: then it is
 * reported as busy, or it has changed since the preview, for example an instance that was terminating.
 */
export function previewAndDelete(client: TestClient, what: Readonly<Record<string, unknown>>): Promise<Deletion> {
  return until(
    async () => {
      const preview = await client.call('delete', what);
      return { preview, deleted: await client.call('apply', { token: preview.facts['token'] }) };
    },
    ({ deleted }) => !['busy', 'plan-changed'].includes(String(deleted.facts['code'])),
  );
}

/** Stops a run by the token of a preview. Repeats both if dstack took the stop back, as a user would. */
export function previewAndStop(client: TestClient, run: string): Promise<Answer> {
  return until(
    async () => client.call('apply', { token: (await client.call('stop', { run })).facts['token'] }),
    ({ facts }) => !String(facts['summary']).includes('took it back'),
  );
}
