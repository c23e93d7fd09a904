import { setTimeout as delay } from 'node:timers/promises';
import type { Answer, TestClient } from './connect.ts';

/** Calls `get` until the run is there; a call ends at its own deadline, and on a busy machine that comes first. */
export async function waitForRun(client: TestClient, name: string, state: string): Promise<Answer> {
  for (;;) {
    const answer = await client.call('get', { name, wait_for: state });
    const status = String(answer.facts['status']);
    if (answer.facts['reached'] === true) return answer;
    if (answer.isError || ['failed', 'done', 'terminated'].includes(status))
      throw new Error(`${name} is ${status}, not ${state}: ${answer.text}`);
  }
}

/** Asks until the answer is as wanted. It ends with the test's own limit. */
export async function until<T>(ask: () => Promise<T>, isWanted: (value: T) => boolean): Promise<T> {
  for (;;) {
    const value = await ask();
    if (isWanted(value)) return value;
    await delay(50);
  }
}

/** Reads the run's log until the job's words are in what dstack printed: the words around it, as why a log is empty, don't count. */
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
 * Deletes by the token of a preview, and does both again where nothing was deleted because dstack's server was just processing it:
 * it says so, or what was previewed is no longer what is there, as an instance that was ending.
 */
export function previewAndDelete(client: TestClient, what: Readonly<Record<string, unknown>>): Promise<Deletion> {
  return until(
    async () => {
      const preview = await client.call('delete', what);
      return { preview, deleted: await client.call('delete', { token: preview.facts['token'] }) };
    },
    ({ deleted }) => !['busy', 'plan-changed'].includes(String(deleted.facts['code'])),
  );
}
