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
