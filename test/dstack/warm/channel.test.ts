import { afterEach, beforeEach, expect, test } from 'vitest';
import { cliEnvironment } from '../../../src/dstack/run/spawn-dstack.ts';
import type { WarmRequest } from '../../../src/dstack/warm/channel.ts';
import { startWarmWorker } from '../../../src/dstack/warm/worker.ts';
import type { WarmWorker } from '../../../src/dstack/warm/worker.ts';
import { makeFakeDstack, untilGone, workerFiles } from '../../support/warm-fixtures.ts';
import type { FakeDstack } from '../../support/warm-fixtures.ts';
import { silentLog } from '../../support/warm-test-runner.ts';

const LONG = 60_000;
let fake: FakeDstack;
let worker: WarmWorker;
let pid: number;

beforeEach(async () => {
  fake = await makeFakeDstack();
  const { path: executable, interpreter = '' } = fake.executable;
  const env = cliEnvironment({ PATH: process.env['PATH'], HOME: fake.folder });
  const limits = { startTimeoutMs: LONG, silenceMs: LONG };
  const options = { executable, interpreter, workerFiles, env, log: silentLog, ...limits };
  worker = await startWarmWorker(options, new AbortController().signal);
  [pid = 0] = worker.pids;
});
afterEach(async () => {
  await worker.end();
  await fake.remove();
});

const request = (more: Partial<WarmRequest> = {}): WarmRequest => ({
  argv: ['ps'],
  cwd: fake.folder,
  env: fake.env(),
  mode: 'parked',
  isChange: false,
  outlivesServer: () => false,
  outlivesCall: () => false,
  abandoned: new AbortController().signal,
  onOutput: () => undefined,
  onWireEvent: () => undefined,
  ...more,
});

test('a child with a request runs it only on `go`', async () => {
  const handOver = await worker.handOver(request(), LONG);
  if (handOver.kind !== 'held') throw new Error(handOver.reason);
  // A second request completes in the meantime, so the first one isn't just slow.
  const second = await worker.handOver(request(), LONG);
  if (second.kind !== 'held') throw new Error(second.reason);
  second.child.go();
  expect(await second.child.ended).toEqual({ kind: 'exited', code: 0 });
  expect(await fake.journal()).toEqual([
    { word: 'ran', pid: second.child.pid },
    { word: 'ended', pid: second.child.pid },
  ]);
  handOver.child.go();
  handOver.child.go();
  expect(await handOver.child.ended).toEqual({ kind: 'exited', code: 0 });
  expect(await fake.count('ran')).toBe(2);
});

test('a child that dies with its request before it may run it has not run, and the worker survives', async () => {
  const handOver = await worker.handOver(request(), LONG);
  if (handOver.kind !== 'held') throw new Error(handOver.reason);
  process.kill(handOver.child.pid, 'SIGKILL');
  await untilGone(handOver.child.pid);
  handOver.child.go();
  expect((await handOver.child.ended).kind).toMatch(/^(?:not-run|signalled)$/);
  const next = await worker.handOver(request(), LONG);
  expect(next.kind).toBe('held');
  expect(await fake.count('ran')).toBe(0);
});

test('a late hand-over is refused, and its child never runs', async () => {
  process.kill(pid, 'SIGSTOP');
  const late = await worker.handOver(request(), 20);
  process.kill(pid, 'SIGCONT');
  expect(late).toEqual({ kind: 'refused', reason: 'no child acknowledged it within 20 ms' });
  const next = await worker.handOver(request(), LONG);
  if (next.kind !== 'held') throw new Error(next.reason);
  next.child.go();
  await next.child.ended;
  expect(await fake.count('ran')).toBe(1);
});

test('a worker that is ending accepts no requests', async () => {
  await worker.end();
  expect(await worker.handOver(request(), LONG)).toEqual({ kind: 'refused', reason: 'the worker is ending' });
  expect(await worker.ended).toBe('it was ended');
});

test('commands leave no descriptor open in the worker', async () => {
  const { readdir } = await import('node:fs/promises');
  const count = async (): Promise<number> => (await readdir(`/proc/${pid}/fd`)).length;
  const run = async (): Promise<void> => {
    const handOver = await worker.handOver(request({ mode: 'shallow' }), LONG);
    if (handOver.kind !== 'held') throw new Error(handOver.reason);
    handOver.child.go();
    await handOver.child.ended;
  };
  await run();
  const before = await count();
  for (let round = 0; round < 20; round++) await run();
  expect(await count()).toBe(before);
});
