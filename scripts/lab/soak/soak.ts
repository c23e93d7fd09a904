import { setTimeout as delay } from 'node:timers/promises';
import pLimit from 'p-limit';
import { messageOf } from '../../../src/core/errors.ts';
import type { SoakCall } from './calls.ts';
import { readProcess } from '../read-process.ts';

export interface SoakOptions {
  readonly calls: readonly SoakCall[];
  /** Process ID of the server. */
  readonly pid: number;
  readonly total: number;
  readonly atOnce: number;
  /** Value of `performance.now()` after which no call is started. */
  readonly untilMs: number;
  readonly seed: number;
  readonly say: (line: string) => void;
}

/** One part of the run, with the state of the server at its end. */
export interface SoakWindow {
  readonly calls: number;
  readonly durationsMs: readonly number[];
  readonly residentMb: number;
  readonly descriptors: number;
  readonly processes: number;
}

export interface SoakResult {
  readonly begun: number;
  readonly answered: number;
  readonly cancelled: number;
  /** Number of child processes that were killed. */
  readonly killed: number;
  /** Number of calls that reported it. At most `killed`: a call doesn't have to report the death of the worker. */
  readonly hit: number;
  readonly wrong: readonly string[];
  readonly windows: readonly SoakWindow[];
}

// One in CANCEL_ONE_IN calls is cancelled; after every KILL_EVERY calls a child process of the server is killed.
const CANCEL_ONE_IN = 25;
const KILL_EVERY = 100;
const WINDOWS = 20;

/** Sends the calls in an order that depends on the seed, and monitors the server. */
export async function soak(options: SoakOptions): Promise<SoakResult> {
  const random = createRandom(options.seed);
  const limit = pLimit(options.atOnce);
  const wrong: string[] = [];
  const windows: SoakWindow[] = [];
  const counts = { begun: 0, answered: 0, cancelled: 0, killed: 0, hit: 0 };
  const perWindow = Math.max(1, Math.ceil(options.total / WINDOWS));

  const one = async (durationsMs: number[]): Promise<void> => {
    const call = options.calls[Math.floor(random() * options.calls.length)];
    if (call === undefined) return;
    const cancel = random() < 1 / CANCEL_ONE_IN ? AbortSignal.timeout(Math.floor(random() * 100)) : undefined;
    const since = performance.now();
    try {
      const verdict = await call.run(cancel ?? new AbortController().signal);
      durationsMs.push(performance.now() - since);
      counts.answered += 1;
      if (verdict === 'killed') counts.hit += 1;
      else if (verdict !== 'right') wrong.push(`${call.name}: ${verdict.wrong}`);
    } catch (error) {
      if (cancel?.aborted === true) counts.cancelled += 1;
      else wrong.push(`${call.name}: ${messageOf(error)}`);
    }
  };

  for (let done = 0; done < options.total && performance.now() < options.untilMs; done += perWindow) {
    const durationsMs: number[] = [];
    const size = Math.min(perWindow, options.total - done);
    await Promise.all(
      Array.from({ length: size }, () =>
        limit(async () => {
          counts.begun += 1;
          if (counts.begun % KILL_EVERY === 0) counts.killed += await killChild(options.pid, random);
          await one(durationsMs);
        }),
      ),
    );
    // Processes that have just ended are still exiting.
    await delay(1_000);
    const now = await readProcess(options.pid);
    if (now === undefined) {
      wrong.push('the server has exited');
      break;
    }
    const { residentMb, descriptors, children } = now;
    windows.push({ calls: done + size, durationsMs, residentMb, descriptors, processes: children.length });
    options.say(`${done + size} calls, ${wrong.length} wrong, ${residentMb} MB, ${descriptors} descriptors`);
  }
  if (counts.hit > counts.killed)
    wrong.push(`${counts.hit} calls reported a kill, but only ${counts.killed} processes were killed`);
  return { ...counts, wrong, windows };
}

/** Kills one of the server's child processes: the warm worker or a command in it. */
async function killChild(pid: number, random: () => number): Promise<number> {
  const children = (await readProcess(pid))?.children ?? [];
  const victim = children[Math.floor(random() * children.length)];
  if (victim === undefined) return 0;
  try {
    process.kill(victim, 'SIGKILL');
    return 1;
  } catch {
    // It has exited in the meantime.
    return 0;
  }
}

/** Returns a reproducible random number generator (mulberry32). */
function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
