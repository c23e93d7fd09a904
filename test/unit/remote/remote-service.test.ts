import { expect, test } from 'vitest';
import { createAttachments } from '../../../src/attachments/attachments.ts';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { RemoteService } from '../../../src/remote/remote-service.ts';
import { RemoteSessions } from '../../../src/remote/sessions.ts';
import { silentLog } from '../../support/recorded-catalog.ts';
import { rewritten, setUpChanges } from '../../support/set-up-changes.ts';

const RUNNING = 'run-get-running';
const UPDATED = rewritten(RUNNING, ['"deployment_num": 0', '"deployment_num": 1']);
const request = { run: 'lab-task' };

/** A service with an open session, whose connection is this process. */
async function setUp() {
  let now = 0;
  const { world, ran, openDstack, stateDir } = setUpChanges();
  world.reads = { 'run get': RUNNING };
  const released: string[] = [];
  const sessions = new RemoteSessions({
    attachments: { release: async (id) => void released.push(id) },
    ssh: { env: {}, dstackSshDir: '' },
    log: silentLog,
    now: () => now,
  });
  const attachments = createAttachments({ stateDir, executable: async () => '', env: {}, log: silentLog });
  const service = new RemoteService({ dstack: openDstack(), sessions, attachments });
  const { place, run } = await service.look(request);
  const { pid } = process;
  const master = { pid, startedAt: (await lookUpProcess(pid))?.startedAt ?? '' };
  const tunnel = { controlSocket: '', destination: '', master, owned: true };
  const connection = { replica: 0, job: 0, ports: [], reusedTunnel: false, tunnel };
  const view = { command: '', startedAt: '', outputFile: '', dstackOutput: '', jobOutput: '' };
  const attachment = { id: 'a', run: run.name, ...view, state: { kind: 'attached', connection } } as const;
  const session = sessions.add(place, run, { attachment, started: true });
  ran.length = 0;
  const pass = (ms: number): void => void (now += ms);
  return { world, ran, service, sessions, session, released, pass };
}

test('a run with an open connection is looked up again after a minute only', async () => {
  const { ran, service, session, pass } = await setUp();
  pass(59_999);
  expect(await service.look(request)).toMatchObject({ session, run: { deployment: 0 } });
  expect(ran).toEqual([]);
  pass(1);
  expect((await service.look(request)).session).toBe(session);
  expect(ran).toHaveLength(1);
  pass(59_999);
  await service.look(request);
  expect(ran).toHaveLength(1);
});

test('the connection to a run that was updated since ends: its consent is for the former deployment', async () => {
  const { world, service, released, pass } = await setUp();
  world.reads = { 'run get': UPDATED };
  pass(60_000);
  const found = await service.look(request);
  expect(found).toMatchObject({ run: { deployment: 1 }, runId: 'da47bb13-9d5b-40ec-9569-f1691f5ed34c' });
  expect(found).not.toHaveProperty('session');
  expect(released).toEqual(['a']);
});

test('a connection that is in use stays, but is not used for the updated run', async () => {
  const { world, service, sessions, session, released, pass } = await setUp();
  if (session === undefined) throw new Error('no session');
  world.reads = { 'run get': UPDATED };
  pass(60_000);
  await sessions.use(session, async () => {
    for (let look = 0; look < 2; look += 1) expect(await service.look(request)).not.toHaveProperty('session');
  });
  expect(released).toEqual([]);
  await sessions.close();
});
