import { stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { WarmKeeper, createLastUsed, isIdleForLong } from '../../../../src/dstack/warm/keeper.ts';
import type { KeeperOptions } from '../../../../src/dstack/warm/keeper.ts';
import { WorkerUnsupported } from '../../../../src/dstack/warm/worker.ts';
import type { WarmWorker } from '../../../../src/dstack/warm/worker.ts';
import { silentLog } from '../../../support/recorded-catalog.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

interface FakeWorker extends WarmWorker {
  die(why: string): void;
  readonly calls: string[];
}

function fakeWorker(fingerprints: Readonly<Record<string, string>> = {}): FakeWorker {
  let die: (why: string) => void = () => undefined;
  const ended = new Promise<string>((resolve) => {
    die = resolve;
  });
  const calls: string[] = [];
  return {
    pids: [1],
    info: { version: '1', python: '3', bakedAtImport: [], bakedAtPark: [], fingerprints, importMs: 1 },
    ended,
    die: (why) => die(why),
    calls,
    handOver: async () => ({ kind: 'refused', reason: 'fake' }),
    end: async () => void calls.push('end'),
    retire: async () => void calls.push('retire'),
  };
}

function keeperOf(start: KeeperOptions['start'], more: Partial<KeeperOptions> = {}): WarmKeeper {
  return new WarmKeeper({
    start,
    log: silentLog,
    idleMs: 300_000,
    idleElsewhereMs: 30_000,
    lastUsed: { claim: () => undefined, isOurs: async () => true },
    patienceMs: 10_000,
    maxDeaths: 2,
    deathPeriodMs: 60_000,
    giveUpMs: 120_000,
    ...more,
  });
}

afterEach(() => vi.useRealTimers());

describe('a worker', () => {
  test('starts with the first command, once for all that wait', async () => {
    const worker = fakeWorker();
    const keeper = keeperOf(async () => worker);
    expect(keeper.state.kind).toBe('idle');
    expect(await Promise.all([keeper.acquire(), keeper.acquire()])).toEqual([worker, worker]);
    expect(keeper.starts).toBe(1);
    keeper.warmUp();
    expect(keeper.starts).toBe(1);
  });

  test('is not waited for longer than a plain process takes', async () => {
    const keeper = keeperOf(() => new Promise(() => undefined), { patienceMs: 1 });
    expect(await keeper.acquire()).toBeUndefined();
    expect(keeper.state.kind).toBe('starting');
  });

  test('that this dstack does not support is never started again', async () => {
    const keeper = keeperOf(async () => {
      throw new WorkerUnsupported('an import started a thread');
    });
    expect(await keeper.acquire()).toBeUndefined();
    expect(await keeper.acquire()).toBeUndefined();
    expect(keeper.state).toEqual({ kind: 'off', why: 'an import started a thread' });
    expect(keeper.starts).toBe(1);
  });

  test('is given up after it died too often, and tried again later', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const keeper = keeperOf(async () => {
      throw new Error('it dies');
    });
    await keeper.acquire();
    expect(keeper.state.kind).toBe('idle');
    await keeper.acquire();
    expect(keeper.state).toMatchObject({ kind: 'given-up', why: 'it dies' });
    await keeper.acquire();
    expect(keeper.starts).toBe(2);
    vi.advanceTimersByTime(120_000);
    await keeper.acquire();
    expect(keeper.starts).toBe(3);
  });

  test('that dies occasionally is started again each time', async () => {
    vi.useFakeTimers({ toFake: ['performance'] });
    const workers: FakeWorker[] = [];
    const keeper = keeperOf(async () => {
      const worker = fakeWorker();
      workers.push(worker);
      return worker;
    });
    for (let round = 1; round <= 3; round += 1) {
      await keeper.acquire();
      workers.at(-1)?.die('killed');
      await vi.waitUntil(() => keeper.state.kind === 'idle');
      vi.advanceTimersByTime(60_000);
    }
    expect(keeper.starts).toBe(3);
  });

  test('is replaced when a file of dstack changes, and its commands may finish', async () => {
    const file = path.join(emptyFolder(), 'dstack');
    await writeFile(file, 'old');
    const { ino, size, mtimeNs } = await stat(file, { bigint: true });
    const [old, next] = [fakeWorker({ [file]: `${ino}:${size}:${mtimeNs}` }), fakeWorker()];
    const workers = [old, next];
    const keeper = keeperOf(async () => workers.shift() ?? next);
    expect(await keeper.acquire()).toBe(old);
    expect(await keeper.acquire()).toBe(old);
    await writeFile(file, 'the new one');
    expect(await keeper.acquire()).toBe(next);
    expect(old.calls).toEqual(['retire']);
  });

  test('ends with its server, also while it starts', async () => {
    const worker = fakeWorker();
    const ready = keeperOf(async () => worker);
    await ready.acquire();
    await ready.close();
    expect(worker.calls).toEqual(['end']);
    const starting = keeperOf(
      (closing) => new Promise((_, reject) => closing.addEventListener('abort', () => reject(new Error('killed')))),
    );
    starting.warmUp();
    await starting.close();
    expect(starting.state).toEqual({ kind: 'off', why: 'the server is shutting down' });
    expect(await starting.acquire()).toBeUndefined();
  });
});

describe('an idle worker', () => {
  const start = async (isOurs: boolean): Promise<{ keeper: WarmKeeper; worker: FakeWorker; release: () => void }> => {
    vi.useFakeTimers();
    const worker = fakeWorker();
    const keeper = keeperOf(async () => worker, {
      lastUsed: { claim: () => undefined, isOurs: async () => isOurs },
    });
    await keeper.acquire();
    const usage = keeper.use();
    return { keeper, worker, release: () => usage.release() };
  };

  test('ends after five minutes without a command', async () => {
    const { keeper, worker, release } = await start(true);
    release();
    await vi.advanceTimersByTimeAsync(299_000);
    expect(keeper.state.kind).toBe('ready');
    await vi.advanceTimersByTimeAsync(2_000);
    expect(keeper.state.kind).toBe('idle');
    expect(worker.calls).toEqual(['retire']);
  });

  test('ends after half a minute if another server of this user runs commands now', async () => {
    const { keeper, release } = await start(false);
    release();
    await vi.advanceTimersByTimeAsync(31_000);
    expect(keeper.state.kind).toBe('idle');
  });

  test('stays while a command runs', async () => {
    const { keeper, release } = await start(true);
    await vi.advanceTimersByTimeAsync(900_000);
    expect(keeper.state.kind).toBe('ready');
    release();
    await vi.advanceTimersByTimeAsync(900_000);
    expect(keeper.state.kind).toBe('idle');
  });

  test.each([
    [29_000, false, false],
    [30_000, false, true],
    [30_000, true, false],
    [300_000, true, true],
  ])('after %d ms, last used here: %s, is ended: %s', (idleForMs, isOurs, expected) => {
    expect(isIdleForLong(idleForMs, isOurs, { idleMs: 300_000, idleElsewhereMs: 30_000 })).toBe(expected);
  });
});

test('the server that ran a command last is known to all that share the file', async () => {
  const file = path.join(emptyFolder(), 'last-used.json');
  const [one, two] = [createLastUsed(file, silentLog), createLastUsed(file, silentLog)];
  expect([await one.isOurs(), await two.isOurs()]).toEqual([true, true]);
  one.claim();
  expect([await one.isOurs(), await two.isOurs()]).toEqual([true, false]);
  two.claim();
  await two.isOurs();
  expect([await one.isOurs(), await two.isOurs()]).toEqual([false, true]);
});

test('without a readable file, each server is the last one', async () => {
  const file = path.join(emptyFolder(), 'last-used.json');
  await writeFile(file, 'nonsense');
  expect(await createLastUsed(file, silentLog).isOurs()).toBe(true);
  const nowhere = createLastUsed('/dev/null/x/last-used.json', silentLog);
  nowhere.claim();
  expect(await nowhere.isOurs()).toBe(true);
});
