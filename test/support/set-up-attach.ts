import { afterAll, beforeAll, expect } from 'vitest';
import * as z from 'zod';
import { stopRuns } from './ask-server.ts';
import { collectEnds } from './collect-ends.ts';
import { connect } from './connect.ts';
import type { Answer, ClientKind, TestClient } from './connect.ts';
import { createTestHome, task, uniqueName } from './test-home.ts';
import type { TestHome } from './test-home.ts';
import { until, waitForRun } from './wait.ts';

/** The port on which the web server of the run listens. */
export const PORT = 8000;

const attachments = z.array(
  z.looseObject({
    id: z.string(),
    run: z.string(),
    state: z.string(),
    sshCommand: z.string().optional(),
    ideLink: z.string().optional(),
    ports: z.array(z.object({ localPort: z.number(), remotePort: z.number() })).optional(),
  }),
);

export const attachmentsOf = ({ facts }: Answer): z.output<typeof attachments> =>
  attachments.parse(facts['attachments']);

/** Attaches, and repeats the call while the instance can't be reached yet. */
export async function attach(client: TestClient, input: Readonly<Record<string, unknown>>): Promise<Answer> {
  return until(
    () => client.call('attach', input),
    (answer) => attachmentsOf(answer)[0]?.state !== 'waiting',
  );
}

/** A home, and a run in it that serves a page. */
export interface AttachSetup {
  readonly home: () => TestHome;
  readonly run: string;
  /** The client that started the run. */
  readonly client: () => TestClient;
  readonly connectOnce: (kind?: ClientKind) => Promise<TestClient>;
  readonly start: (configuration: Readonly<Record<string, unknown>>, name: string) => Promise<void>;
}

/** Starts the run before the tests of the file that calls this, and stops it after them. */
export function setUpAttach(): AttachSetup {
  const atEnd = collectEnds(afterAll);
  const run = uniqueName('attached');
  let home: TestHome;
  let client: TestClient;

  async function connectOnce(kind?: ClientKind): Promise<TestClient> {
    return connect({ env: home.env, ...(kind === undefined ? {} : { kind }) });
  }

  async function start(configuration: Readonly<Record<string, unknown>>, name: string): Promise<void> {
    atEnd(() => stopRuns(name));
    await home.write(`${name}.dstack.yml`, configuration);
    const plan = await client.call('plan', { file: `${name}.dstack.yml` });
    const applied = await client.call('apply', { token: plan.facts['token'] });
    expect(applied.facts['outcome'], applied.text).toBe('done');
    await waitForRun(client, name, 'running');
  }

  beforeAll(async () => {
    home = await createTestHome({ atEnd });
    client = await connect({ env: home.env, atEnd });
    await start(task(run, { ports: [PORT], commands: ['python -m http.server 8000'] }), run);
  });

  return { home: () => home, run, client: () => client, connectOnce, start };
}
