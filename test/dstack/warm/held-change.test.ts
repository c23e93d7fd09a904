import { spawn } from 'node:child_process';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { CheckedArgv } from '../../../src/dstack/argv/command.ts';
import type { Approve, HeldCommand } from '../../../src/dstack/run/runner.ts';
import { UNREADABLE } from '../../../src/dstack/run/wire-events.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { bundleProgram } from '../../support/bundle-program.ts';
import { listenOnLoopback } from '../../support/listen-on-loopback.ts';
import { fixture } from '../../support/paths.ts';
import { isRunning, makeFakeDstack, until, untilGone } from '../../support/warm-fixtures.ts';
import type { FakeDstack } from '../../support/warm-fixtures.ts';
import { checked, consentTo, makeWarmRunner, workerPid } from '../../support/warm-test-runner.ts';

/** The paths that the server received, in order. */
let received: string[] = [];
const server = createServer((request, response) => {
  received.push(request.url?.split('/').at(-1) ?? '');
  response.end(JSON.stringify({ id: 'r1', status: 'running' }));
});
const url = `http://127.0.0.1:${await listenOnLoopback(server, afterAll)}`;
let fake: FakeDstack;
let runner: WarmRunner;
let stop: CheckedArgv<'change'>;
let apply: CheckedArgv<'change'>;

beforeAll(async () => {
  stop = await checked({ command: 'stop', flags: { '--yes': true }, positionals: ['train'] }, 'change');
  const flags = { '--file': 'x.dstack.yml', '--yes': true, '--detach': true } as const;
  apply = await checked({ command: 'apply', flags }, 'change');
});
beforeEach(async () => {
  received = [];
  fake = await makeFakeDstack();
});
afterEach(async () => {
  await runner.close();
  for (const { pid } of await fake.journal()) if (await isRunning(pid)) process.kill(pid, 'SIGKILL');
  await fake.remove();
});

const STOP = { path: 'runs/stop', body: { runs_names: ['train'], abort: false } };

const optionsOf = (timeoutMs = 60_000) => ({
  timeoutMs,
  env: fake.env('stop_train', { FAKE_SERVER: url }),
  wire: { server: url, project: 'main', handOver: false, asks: true },
});

/** Returns what approves, and a promise for the command that it is asked about. */
function approver(answer: (held: HeldCommand) => ReturnType<Approve>): {
  readonly approve: Approve;
  readonly asked: Promise<HeldCommand>;
} {
  let tell: (held: HeldCommand) => void = () => undefined;
  const asked = new Promise<HeldCommand>((resolve) => {
    tell = resolve;
  });
  return {
    asked,
    approve(held) {
      tell(held);
      return answer(held);
    },
  };
}

const never = (): Promise<never> => new Promise(() => undefined);
const allow = async () => ({ consent: consentTo(stop), changes: [STOP] });

describe.each([
  ['warm', 'on'],
  ['plain', 'off'],
] as const)('a %s command that is held before its change', (ran, mode) => {
  beforeEach(() => {
    runner = makeWarmRunner({ executable: fake.executable, mode });
  });

  test('is judged by what it has printed and looked up, and changes what it is allowed to, once', async () => {
    const { approve, asked } = approver(allow);
    const transcript = await runner.change(stop, approve, optionsOf());
    expect(await asked).toMatchObject({
      command: 'dstack stop --yes train',
      stdout: 'about to stop train\n',
      ran,
      requests: [
        { event: 'found', path: 'runs/get', value: { id: 'r1' } },
        { event: 'held', path: 'runs/stop' },
      ],
    });
    expect(transcript).toMatchObject({
      exit: { kind: 'exited', code: 0 },
      stdout: 'about to stop train\nStopped\n',
      ran,
    });
    expect(transcript.requests?.map(({ event }) => event)).toEqual(['found', 'held', 'sent', 'answered']);
    expect(received).toEqual(['get', 'stop']);
  });

  test('looks up its resource after the change', async () => {
    const lookUp = { path: 'runs/get', body: { run_name: 'train' } };
    const transcript = await runner.change(stop, async () => ({ ...(await allow()), lookUp }), optionsOf());
    expect(transcript.requests?.at(-1)).toMatchObject({ event: 'found', path: 'runs/get', value: { id: 'r1' } });
    expect(received).toEqual(['get', 'stop', 'get']);
  });

  test('keeps only the last of many look-ups', async () => {
    const env = fake.env('stop_and_wait', { FAKE_SERVER: url });
    const transcript = await runner.change(stop, allow, { ...optionsOf(), env });
    expect(transcript.requests?.map(({ event }) => event)).toEqual(['held', 'sent', 'answered', 'found']);
    expect(received).toEqual(['get', 'stop', 'get', 'get', 'get']);
  });

  test('changes nothing if it is refused, and the call ends with the reason', async () => {
    const refusing = runner.change(stop, () => Promise.reject(new Error('the price rose')), optionsOf());
    await expect(refusing).rejects.toThrow('the price rose');
    expect(received).toEqual(['get']);
  });

  test.each<[string, Approve]>([
    ['of another command', async () => ({ consent: consentTo(apply), changes: [STOP] })],
    ['to another change', async () => ({ consent: consentTo(stop), changes: [{ ...STOP, path: 'runs/delete' }] })],
    ['to nothing', async () => ({ consent: consentTo(stop), changes: [] })],
  ])('changes nothing with a consent %s', async (_what, approve) => {
    await runner.change(stop, approve, optionsOf()).catch(() => undefined);
    expect(received).toEqual(['get']);
  });

  test('changes nothing if what it looked up is reported in something else than JSON', async () => {
    const env = fake.env('report_nonsense', { FAKE_SERVER: url, FAKE_EVENT: 'found' });
    const transcript = await runner.change(stop, allow, { ...optionsOf(), env });
    expect(transcript).toMatchObject({ exit: UNREADABLE, requests: [] });
    expect(received).not.toContain('stop');
  });

  test('is lost, and not repeated, if its change is reported in something else than JSON', async () => {
    const env = fake.env('report_nonsense', { FAKE_SERVER: url, FAKE_EVENT: 'answered' });
    const transcript = await runner.change(stop, allow, { ...optionsOf(), env });
    expect(transcript).toMatchObject({ exit: UNREADABLE, stdout: 'about to stop train\nStopped\n', ran });
    expect(transcript.requests?.map(({ event }) => event)).toEqual(['found', 'held', 'sent']);
    expect(received).toEqual(['get', 'stop']);
  });

  test('that dies while it is decided on ends once that is decided, and is not started again', async () => {
    const decided: string[] = [];
    const running = runner.change(
      stop,
      async () => {
        const { pid } = await fake.noted('starts');
        process.kill(pid, 'SIGKILL');
        await untilGone(pid);
        decided.push('allowed');
        return allow();
      },
      optionsOf(),
    );
    expect((await running).exit).toEqual({ kind: 'signalled', signal: 'SIGKILL' });
    expect(decided).toEqual(['allowed']);
    expect(received).toEqual(['get']);
  });

  test('is ended when its runner is closed, and changes nothing', async () => {
    const { approve, asked } = approver(never);
    const running = runner.change(apply, approve, optionsOf());
    await asked;
    const { pid } = await fake.noted('starts');
    await runner.close();
    expect((await running).exit).toEqual({ kind: 'cancelled' });
    await untilGone(pid);
    expect(received).toEqual(['get']);
  });

  test('is ended at its deadline, and an answer that comes later allows nothing', async () => {
    let answer: (approved: Awaited<ReturnType<Approve>>) => void = () => undefined;
    const { approve, asked } = approver(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const cancel = new AbortController();
    const running = runner.change(apply, approve, { ...optionsOf(), signal: cancel.signal });
    await asked;
    cancel.abort();
    expect((await running).exit).toEqual({ kind: 'cancelled' });
    answer({ consent: consentTo(apply), changes: [STOP] });
    await untilGone((await fake.noted('starts')).pid);
    expect(received).toEqual(['get']);
  });

  test('is ended with its server, even if that is killed, and changes nothing', async () => {
    const { executable, folder } = fake;
    const task = JSON.stringify({ executable, folder, mode, held: optionsOf() });
    const program = await bundleProgram(fixture('warm', 'server.ts'));
    const child = spawn(process.execPath, [program, task], { stdio: ['pipe', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: child.stdout })) if (line === 'held') break;
    const { pid } = await fake.noted('starts');
    child.kill('SIGKILL');
    await untilGone(pid);
    expect(received).toEqual(['get']);
  });
});

test('a command without a gate that asks is not started', async () => {
  runner = makeWarmRunner({ executable: fake.executable });
  const { wire: _, ...ungated } = optionsOf();
  await expect(runner.change(stop, allow, ungated)).rejects.toThrow('no gate that asks');
  expect(await fake.count('ran')).toBe(0);
});

test('a command whose worker dies before its change runs again as a plain process, and changes once', async () => {
  runner = makeWarmRunner({ executable: fake.executable });
  const options = { ...optionsOf(), env: fake.env('wait_and_stop_train', { FAKE_SERVER: url }) };
  const running = runner.change(stop, allow, options);
  await fake.noted('waits');
  process.kill(workerPid(runner), 'SIGKILL');
  await until(async () => (await fake.count('waits')) === 2);
  await fake.giveLeave();
  expect(await running).toMatchObject({ exit: { kind: 'exited', code: 0 }, ran: 'plain' });
  expect(received).toEqual(['get', 'stop']);
});

const ENDED_BEFORE_CHANGE = {
  exit: { kind: 'not-started', reason: expect.stringMatching(/^dstack was ended right before its change: .*SIGKILL/) },
};

test.each<[string, Approve, object]>([
  ['allowed', allow, ENDED_BEFORE_CHANGE],
  ['refused', () => Promise.reject(new Error('the price rose')), { message: 'the price rose' }],
])(
  'a command whose worker dies while it is decided on is not run again, even if it is %s',
  async (_word, decide, end) => {
    runner = makeWarmRunner({ executable: fake.executable });
    let asked = 0;
    const approve: Approve = async (held) => {
      asked += 1;
      process.kill(workerPid(runner), 'SIGKILL');
      await until(() => runner.state().kind !== 'ready');
      return decide(held);
    };
    const ended = await runner.change(stop, approve, optionsOf()).catch((error: unknown) => error);
    expect(ended).toMatchObject(end);
    expect(asked).toBe(1);
    expect(await fake.count('ran')).toBe(1);
    expect(received).toEqual(['get']);
  },
);
