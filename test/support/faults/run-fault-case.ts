import { mkdir, readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { inject } from 'vitest';
import { stopRuns } from '../ask-server.ts';
import { collectEnds } from '../collect-ends.ts';
import { startFaultyServer } from '../faulty-server.ts';
import type { FaultyServer } from '../faulty-server.ts';
import { processesIn } from '../processes.ts';
import { createTestHome, uniqueName } from '../test-home.ts';
import type { TestHome } from '../test-home.ts';
import { until } from '../wait.ts';
import type { Act, Ending, FaultyChange, MatrixFault } from './fault-matrix.ts';
import { auditLine, isTakenBack, judgeCase } from './judge-case.ts';
import type { AuditLine, Seen } from './judge-case.ts';
import { openSession } from './session.ts';
import type { Era, Session } from './session.ts';
import { isReady, namesOf, removeLeftovers } from './server-truth.ts';

/** One case: everything that differs between two of them. */
export interface FaultCase {
  readonly change: FaultyChange;
  readonly fault: MatrixFault;
  /** In the warm worker, or in plain processes. */
  readonly warm: boolean;
  readonly era: Era;
}

/** The facts of a case, and what isn't as it must be. */
export interface CaseResult extends Seen {
  readonly violations: readonly string[];
  readonly takenBack: boolean;
}

export const describeCase = ({ change, fault, warm, era }: FaultCase): string =>
  `${change.what}, ${fault.what} at the ${fault.moment}, ${warm ? 'warm' : 'plain'}, ${era}`;

/** The time of a call. It is short only where it has to pass: a busy machine needs it for looking at the result. */
const TIMEOUT_SECONDS = { short: 30, long: 150 };

/** Runs a case in its own home folder, with its own server. Undefined if the fault wasn't met, for example because the plan changed. */
export async function runFaultCase(one: FaultCase): Promise<CaseResult | undefined> {
  let runEnds = (): Promise<void> => Promise.resolve();
  const atEnd = collectEnds((end) => {
    runEnds = end;
  });
  const name = uniqueName('fault');
  try {
    const dstack = await startFaultyServer(inject('sandbox').url, atEnd);
    const home = await createTestHome({ url: dstack.url, atEnd });
    const stage = { one, name, dstack, home, env: await environmentOf(home, one) };
    const seen = await playCase(stage);
    return seen && { ...seen, violations: judgeCase(one, seen), takenBack: isTakenBack(one, seen) };
  } finally {
    await stopRuns(...(await namesOf(name)));
    await removeLeftovers(name);
    await runEnds();
  }
}

interface Stage {
  readonly one: FaultCase;
  readonly name: string;
  readonly dstack: FaultyServer;
  readonly home: TestHome;
  readonly env: Readonly<Record<string, string>>;
}

async function environmentOf({ home, env }: TestHome, { warm, fault }: FaultCase): Promise<Stage['env']> {
  const TMPDIR = path.join(home, 'tmp');
  await mkdir(TMPDIR);
  const timeout = TIMEOUT_SECONDS[fault.unknownBecause === undefined ? 'long' : 'short'];
  return { ...env, TMPDIR, DSTACK_MCP_WARM: warm ? 'on' : 'off', DSTACK_MCP_TIMEOUT: String(timeout) };
}

async function playCase(stage: Stage): Promise<Seen | undefined> {
  const { one, dstack, home, env } = stage;
  const session = openSession(env, one.era);
  const token = await prepare(stage, session);
  const before = { lines: (await readAudit(home)).length, requests: dstack.seen.length };
  const met = (): boolean => dstack.seen.slice(before.requests).some(({ faulty }) => faulty);
  const call = session.call('apply', { token });
  const outcome = await breakIt(stage, { session, call: call.facts, cancel: call.cancel, met });
  const exit = await session.end();
  if (one.fault.act.kind === 'SIGKILL') await openNext(stage);
  const left = await leftProcesses(home);
  if (!met() && one.fault.act.kind !== 'none') return undefined;
  return {
    outcome: outcome === undefined ? undefined : String(outcome['outcome']),
    summary: summaryOf(outcome),
    made: await countMade(stage, outcome),
    answers: dstack.seen
      .slice(before.requests)
      .filter(({ path: asked }) => one.change.request.test(asked))
      .map(({ status }) => status),
    audit: (await readAudit(home)).slice(before.lines),
    exit,
    leftProcesses: left,
    leftFiles: await leftFiles(stage),
  };
}

const summaryOf = (facts: Facts | undefined): string => {
  const summary = facts?.['summary'];
  return typeof summary === 'string' ? summary : '';
};

/** How long dstack's server may refuse to plan something, for example because it is busy with it. */
const PREPARE_MS = 120_000;

/** Makes what has to exist, and previews the change. Returns its token. */
async function prepare({ one: { change }, name, home }: Stage, session: Session): Promise<unknown> {
  const file = `${name}.dstack.yml`;
  const plan = (): Promise<Facts | undefined> => session.call('plan', { file }).facts;
  if (change.before !== undefined) {
    const configuration = change.before(name);
    await home.write(file, configuration);
    await persist(
      async () => session.call('apply', { token: (await plan())?.['token'] }).facts,
      (facts) => facts?.['outcome'] === 'done',
    );
    await until(() => isReady(configuration, name), Boolean);
  }
  if (change.file !== undefined) await home.write(file, change.file(name));
  const [tool, input] = change.preview?.(name) ?? (['plan', { file }] as const);
  const previewed = await persist(
    () => session.call(tool, input).facts,
    (facts) => facts?.['token'] !== undefined,
  );
  return previewed?.['token'];
}

/** Repeats a call until its facts match. @throws Error with what the last call said */
async function persist(
  call: () => Promise<Facts | undefined>,
  isWanted: (facts: Facts | undefined) => boolean,
): Promise<Facts | undefined> {
  const since = performance.now();
  const facts = await until(call, (found) => isWanted(found) || performance.now() - since > PREPARE_MS);
  if (isWanted(facts)) return facts;
  throw new Error(`this case can't be prepared: ${summaryOf(facts)}`);
}

type Facts = Readonly<Record<string, unknown>>;

interface Redeeming {
  readonly session: Session;
  readonly call: Promise<Facts | undefined>;
  readonly cancel: () => void;
  readonly met: () => boolean;
}

const READS = /\/(?:get|get_plan)$/;

/** Breaks the connection for the call, or ends something while dstack's server holds its response back. Returns the call's facts. */
async function breakIt(stage: Stage, redeeming: Redeeming): Promise<Facts | undefined> {
  const { one, dstack } = stage;
  const { act, moment } = one.fault;
  if (act.kind === 'none') return redeeming.call;
  if (isEnding(act)) return endIt(stage, { ...redeeming, act });
  const where = moment === 'change' ? one.change.request : READS;
  dstack.breakWith(act, where, moment === 'look-up' ? one.change.request : undefined);
  const facts = await redeeming.call;
  dstack.breakWith(undefined);
  dstack.dropHanging();
  return facts;
}

async function endIt(
  { one, dstack, home }: Stage,
  { session, call, cancel, met, act }: Redeeming & { readonly act: Ending },
): Promise<Facts | undefined> {
  let release = (): void => undefined;
  const untilReleased = new Promise<void>((resolve) => {
    release = resolve;
  });
  const isPlan = one.fault.moment === 'plan';
  let isHeld = false;
  const onHeld = (): void => {
    isHeld = true;
  };
  if (isPlan) dstack.breakWith({ kind: 'hang' }, READS);
  else dstack.breakWith({ kind: 'late', untilReleased, onHeld }, one.change.request);
  let isAnswered = false;
  void call.finally(() => {
    isAnswered = true;
  });
  await until(
    () => Promise.resolve(isPlan ? met() : isHeld),
    (isMet) => isMet || isAnswered,
  );
  if (act.kind === 'cancel') cancel();
  else if (act.kind === 'kill-dstack') await killDstack(home, session.pid);
  else await session.end(act.kind);
  // Whoever still waits for the current state must not go on.
  if (isPlan) dstack.breakWith({ kind: 'reset' }, READS);
  else dstack.breakWith(undefined);
  dstack.dropHanging();
  release();
  if (act.kind !== 'cancel') return call;
  // Nobody hears the outcome, so the audit log has to have it.
  await until(
    () => readAudit(home),
    (lines) => lines.at(-1)?.event !== 'approved',
  );
  return undefined;
}

const isEnding = (act: Act): act is Ending =>
  ['SIGTERM', 'SIGKILL', 'end-of-input', 'kill-dstack', 'cancel'].includes(act.kind);

/** Kills every process that the server has started. */
async function killDstack({ home }: TestHome, serverPid: number): Promise<void> {
  for (const { pid } of await processesIn(home)) if (pid !== serverPid) process.kill(pid, 'SIGKILL');
}

/** The next server of the same user looks up what the killed one left. */
async function openNext({ env, one }: Stage): Promise<void> {
  const next = openSession(env, one.era);
  await next.call('ps', { last: 1 }).facts;
  await next.end();
}

async function readAudit({ stateDir }: TestHome): Promise<readonly AuditLine[]> {
  const text = await readFile(path.join(stateDir, 'audit', 'audit.jsonl'), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => auditLine.parse(JSON.parse(line)));
}

/** How long dstack's server may take to delete a volume. */
const MADE_MS = 15_000;

/** Returns how often the change was made. What is reported as done has to be made by now; without a report, it may take a while. */
async function countMade({ one: { change, fault }, name }: Stage, outcome: Facts | undefined): Promise<number> {
  const since = performance.now();
  const isEnough = (made: number): boolean =>
    made >= fault.made || outcome?.['outcome'] === 'done' || performance.now() - since > MADE_MS;
  return until(() => change.made(name), isEnough);
}

/** How long dstack may take to end after its server. */
const LEFT_MS = 20_000;

async function leftProcesses({ home }: TestHome): Promise<readonly string[]> {
  const since = performance.now();
  const left = await until(
    () => processesIn(home),
    (found) => found.length === 0 || performance.now() - since > LEFT_MS,
  );
  return left.map(({ command }) => command);
}

async function leftFiles({ home, env }: Stage): Promise<readonly string[]> {
  const kept = await readdir(home.stateDir, { recursive: true });
  const temporary = await readdir(env['TMPDIR'] ?? '');
  return [...kept.filter((file) => /\.tmp|\.lock$|\.broken/.test(file)), ...temporary];
}
