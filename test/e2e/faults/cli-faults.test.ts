import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runNames, stopRuns } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import type { Answer, TestClient } from '../../support/connect.ts';
import { processesIn } from '../../support/processes.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';
import { previewAndStop, until } from '../../support/wait.ts';
import { createFaultyCli } from '../../support/faulty-cli.ts';
import type { CliFault, FaultyCli } from '../../support/faulty-cli.ts';

/** 8 MB of both streams are kept; the rest is Node's own memory. */
const MOST_BYTES = 600_000_000;
const atEnd = collectEnds(afterAll);
let home: TestHome;
let faulty: FaultyCli;
beforeAll(async () => {
  home = await createTestHome({ atEnd });
  faulty = await createFaultyCli(home);
});

/** A server that starts a process for each command. */
const connectPlain = (more: Readonly<Record<string, string>> = {}): Promise<TestClient> =>
  connect({ env: { ...home.env, DSTACK_MCP_CLI: faulty.cli, DSTACK_MCP_WARM: 'off', ...more }, atEnd });

/** Returns the peak memory of a process. */
async function peakBytes(pid: number): Promise<number> {
  const kilobytes = /^VmHWM:\s+(\d+) kB$/m.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kilobytes) * 1024;
}

const DIE = ['import signal', 'os.kill(os.getpid(), signal.SIGKILL)'];
const ASK = ["input('The terms have changed. Accept them? [y/n]: ')"];
const BINARY = ['os.write(1, bytes(range(256)) * 400)', 'os._exit(0)'];
const flood = (bytes: string, megabytes: number): readonly string[] => [
  `piece = ${bytes} * (1_000_000 // len(${bytes}))`,
  `for _ in range(${megabytes}): os.write(1, piece)`,
  'os._exit(0)',
];
/** Prints dstack's own update notice, with its own code, as if a new version had been published today. */
const NOTICE = [
  'import dstack._internal.cli.utils.updates as updates',
  'updates._is_last_check_time_outdated = lambda: True',
  'updates.get_latest_version = lambda: "99.0.0"',
];

/** The first plan of the real dstack, after an update notice. No run is created. */
let plan: Readonly<Record<string, unknown>>;
let client: TestClient;
/** Another server of the same user, whose worker meets no fault: it previews what the plain processes apply. */
let warm: TestClient;
const name = uniqueName('midway');
const file = `${name}.dstack.yml`;
beforeAll(async () => {
  client = await connectPlain();
  warm = await connectPlain({ DSTACK_MCP_WARM: 'on' });
  await home.write(file, task(name));
  await faulty.breakWith({ words: [], python: NOTICE });
  plan = (await client.call('plan', { file })).facts;
});

const say = (text: string): string => `os.write(1, ${JSON.stringify(text)}.encode())`;

/** An apply that fails after it has printed the plan, and before it has sent anything. The plan itself is dstack's own. */
function breakApply(python: readonly string[]): readonly CliFault[] {
  const beforeIt = String(plan['output']).replace(/^\$.*\n/, '');
  return [{ words: ['apply', '--yes'], python: [say(`${beforeIt}\n`), ...python] }];
}

describe('a dstack that', () => {
  let reads = 0;
  /** A different call each time, because a call that just failed is not repeated immediately. */
  const ps = (): Promise<Answer> => client.call('ps', { last: (reads += 1) });

  test('an update notice before the output: the rest is parsed as usual', async () => {
    expect(plan).toMatchObject({ outcome: 'done', operation: 'create', token: expect.any(String) });
    const fleet = await client.call('fleet', { name: 'cloud', full: true });
    expect(fleet.facts).toMatchObject({ outcome: 'done', fleet: { name: 'cloud' } });
    for (const output of [plan['output'], fleet.facts['output']])
      expect(output).toContain('A new version of dstack is available: 99.0.0');
  });

  test('prints a gigabyte: the answer has both ends and the number of missing bytes, and memory stays bounded', async () => {
    await faulty.breakWith({ words: ['ps'], python: flood("b'0123456789abcde\\n'", 1_000) });
    const { facts, text } = await ps();
    expect(facts['truncated']).toBe(true);
    expect(facts['output']).toMatch(/99\d{7} bytes in the middle of this output were dropped/);
    expect(text.length).toBeLessThan(100_000);
    expect(await peakBytes(client.pid)).toBeLessThan(MOST_BYTES);
  });

  test.each([
    ['blank lines', 'ps', "b'\\n'"],
    ['spaces', 'ps', "b' '"],
    ['opening brackets where JSON is due', 'fleet', "b'[\\n'"],
    ['names of columns', 'ps', "b'NAME  '"],
  ])('prints megabytes of %s: still answered', async (_what, tool, bytes) => {
    await faulty.breakWith({ words: [tool], python: flood(bytes, 8) });
    const answer = tool === 'ps' ? await ps() : await client.call(tool, { name: uniqueName('flood') });
    expect(answer.text.length).toBeLessThan(100_000);
    expect(await peakBytes(client.pid)).toBeLessThan(MOST_BYTES);
  });

  test.each<[string, readonly string[], string, RegExp]>([
    ['is killed', DIE, 'interrupted', /ended by SIGKILL/],
    ['asks what nobody has asked for', ASK, 'no-answer', /EOFError/],
    ['breaks off', ["raise RuntimeError('out of luck')"], 'traceback', /out of luck/],
  ])('%s during a read: reported verbatim, started once', async (_what, python, code, says) => {
    await faulty.breakWith({ words: ['ps'], python });
    const { facts } = await ps();
    expect(facts).toMatchObject({ outcome: 'failed', code });
    expect(facts['summary']).toMatch(says);
    expect(await faulty.starts('ps')).toBe(1);
  });

  test('binary output: made readable, and not treated as an empty list', async () => {
    await faulty.breakWith({ words: ['ps'], python: BINARY });
    const { facts } = await ps();
    expect(facts['output']).toMatch(/\ufffd/);
    expect(facts['summary']).not.toMatch(/No runs/);
  });
});

describe('a dstack that fails during an apply, before its change: nothing was changed, and the token is left', () => {
  /** Each test redeems it as the one before has left it. */
  let token: unknown;
  beforeAll(async () => {
    token = (await warm.call('plan', { file })).facts['token'];
  });

  test.each<[string, readonly string[], RegExp]>([
    ['is killed', DIE, /ended by SIGKILL/],
    ['asks what nobody has asked for', ASK, /EOFError/],
    ['breaks off', ["raise RuntimeError('out of luck')"], /out of luck/],
    ['ends without a word', ['os._exit(0)'], /./],
    ['prints binary output', BINARY, /./],
    ['floods', flood("b'0123456789abcd\\xff\\n'", 100), /./],
    ['breaks off again', ["raise RuntimeError('out of luck')"], /out of luck/],
  ])('it %s', async (_what, python, says) => {
    await faulty.breakWith(...breakApply(python));
    const { facts } = await client.call('apply', { token });
    expect(facts['outcome']).toMatch(/^(?:failed|refused)$/);
    expect(facts['summary']).toMatch(says);
    expect(facts['summary']).not.toMatch(/nothing was done again/);
    expect(await faulty.starts('apply')).toBe(1);
    expect(await runNames()).not.toContain(name);
    expect(await peakBytes(client.pid)).toBeLessThan(MOST_BYTES);
  });
});

test('a dstack that hangs: reads, and an apply before its change, end at their timeout, even if they ignore signals', async () => {
  // The minimum time for an apply.
  const impatient = await connectPlain({ DSTACK_MCP_TIMEOUT: '8' });
  const hang = ['import subprocess', "subprocess.run(['sleep', '1000'])"];
  const deaf = ['import signal', 'signal.signal(signal.SIGTERM, signal.SIG_IGN)'];
  await faulty.breakWith(
    { words: ['ps'], python: hang },
    { words: ['offer'], python: [...deaf, ...hang] },
    ...breakApply(hang),
  );
  const { token } = (await warm.call('plan', { file })).facts;
  const [ps, offer, apply] = await Promise.all([
    impatient.call('ps'),
    impatient.call('offer'),
    impatient.call('apply', { token }),
  ]);
  for (const { facts } of [ps, offer]) expect(facts).toMatchObject({ outcome: 'failed', code: 'timed-out' });
  expect(apply.facts).toMatchObject({ outcome: 'failed', code: 'timed-out' });
  const sleeping = (): Promise<readonly string[]> =>
    processesIn(home.home).then((found) =>
      found.map(({ command }) => command).filter((command) => command === 'sleep 1000'),
    );
  await until(sleeping, (found) => found.length === 0);
  expect(await runNames()).not.toContain(name);
});

test('a dstack that prints Stopped and stops nothing: the run is reported as unchanged, and can be stopped again', async () => {
  const running = uniqueName('kept');
  atEnd(() => stopRuns(running));
  await home.write(`${running}.dstack.yml`, task(running));
  await faulty.breakWith({ words: ['stop'], python: [say('Stopped\n'), 'os._exit(0)'] });
  const { facts } = await warm.call('plan', { file: `${running}.dstack.yml` });
  expect((await warm.call('apply', { token: facts['token'] })).facts['outcome']).toBe('done');
  const { token } = (await warm.call('stop', { run: running })).facts;
  const kept = await client.call('apply', { token });
  expect(kept.facts).toMatchObject({ outcome: 'failed', code: 'cli-not-understood' });
  expect(kept.facts['summary']).toMatch(/dstack sent no change to its server, and ended with: Stopped/);
  const stopped = await previewAndStop(warm, running);
  expect(stopped.facts['status'], stopped.text).toMatch(/^terminat(?:ing|ed)$/);
  expect(stopped.facts['next']).toMatch(/stopping/);
});
