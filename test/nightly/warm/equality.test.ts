import { setMaxListeners } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { execa } from 'execa';
import { beforeAll, describe, test } from 'vitest';
import { findExecutable } from '../../../src/dstack/locate/find-executable.ts';
import { cliEnvironment } from '../../../src/dstack/run/spawn-dstack.ts';
import { createCallLimit } from '../../../src/dstack/run/command-call.ts';
import { createWarmService, DEFAULT_WARM_LIMITS } from '../../../src/dstack/warm/service.ts';
import type { WarmService } from '../../../src/dstack/warm/service.ts';
import { isOver, startTestSandbox, testOptions } from '../../support/start-test-sandbox.ts';
import type { TestSandbox } from '../../support/start-test-sandbox.ts';
import { CASE_FILES, EQUALITY_CASES } from '../../support/warm-cases.ts';
import type { EqualityCase } from '../../support/warm-cases.ts';
import { workerFiles } from '../../support/warm-fixtures.ts';
import { onlyServer, silentLog } from '../../support/warm-test-runner.ts';

declare module 'vitest' {
  interface TaskMeta {
    /** Why the worker fell back to a plain process. */
    steppedAside?: string;
  }
}

interface Home {
  readonly env: Record<string, string>;
  readonly workspace: string;
  /** A worker that forks, and spare processes. */
  readonly services: readonly WarmService[];
}
interface Printed {
  readonly code: number | string | undefined;
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** The sandbox's version, or another one that works with its server. */
const cli = path.resolve(process.env['DSTACK_TEST_CLI'] ?? path.join(testOptions.pythonEnvironment, 'bin/dstack'));
const never = new AbortController().signal;
setMaxListeners(0, never);
const homes = new Map<EqualityCase['home'], Home>();
const equal: string[] = [];
const aside: string[] = [];
let sandbox: TestSandbox;

beforeAll(async () => {
  // One fleet with one backend: dstack returns the offers of several in an order that changes between calls.
  sandbox = await startTestSandbox({ fleets: 'none' });
  await sandbox.apply({ type: 'fleet', name: 'cloud', nodes: '0..2', backends: ['cloudrift'], idle_duration: '0s' });
  await sandbox.apply({ type: 'task', name: 'done-run', commands: ['echo hello'] });
  const gone = await sandbox.createHome({ url: 'http://127.0.0.1:9' });
  const none = await sandbox.createHome();
  const broken = await sandbox.createHome();
  await writeFile(path.join(broken.home, '.dstack/config.yml'), 'projects: [a: b: c\n');
  await execa('rm', [path.join(none.home, '.dstack/config.yml')]);
  await addHome('sandbox', sandbox);
  await addHome('gone', gone);
  await addHome('none', none);
  await addHome('broken', broken);
  await addHome('denied', await sandbox.createHome({ token: 'wrong' }));
  await sandbox.waitFor('done-run', isOver);
  return async () => {
    await Promise.all([...homes.values()].flatMap(({ services }) => services).map((service) => service.close()));
    await sandbox.stop();
  };
});

async function addHome(
  name: EqualityCase['home'],
  home: { env: Readonly<Record<string, string>>; workspace: string },
): Promise<void> {
  for (const [file, text] of Object.entries(CASE_FILES)) {
    await mkdir(path.dirname(path.join(home.workspace, file)), { recursive: true });
    await writeFile(path.join(home.workspace, file), text);
  }
  await writeFile(path.join(home.workspace, '../outside.dstack.yml'), CASE_FILES['task.dstack.yml'] ?? '');
  const env = cliEnvironment(home.env);
  // As the server finds it: another path to the same interpreter would show in tracebacks.
  const executable = await findExecutable({ configured: cli, env: {}, homeDir: home.workspace });
  const limits = { ...DEFAULT_WARM_LIMITS, patienceMs: 60_000, handOverMs: 30_000 };
  const services = (['on', 'spare'] as const).map((mode) =>
    createWarmService({
      executable,
      workerFiles,
      env,
      log: silentLog,
      lastUsed: onlyServer,
      mode,
      platform: 'linux',
      limits,
    }),
  );
  homes.set(name, { env, workspace: home.workspace, services });
}

function homeOf({ home }: EqualityCase): Home {
  const found = homes.get(home);
  if (found === undefined) throw new Error(`there is no home ${home}`);
  return found;
}

async function runBare(each: EqualityCase): Promise<Printed> {
  const { env, workspace } = homeOf(each);
  const result = await execa(cli, [...each.argv], {
    env: { ...env, ...each.env },
    extendEnv: false,
    cwd: path.join(workspace, each.folder ?? ''),
    encoding: 'buffer',
    reject: false,
    stripFinalNewline: false,
    ...(each.input === undefined ? { stdin: 'ignore' } : { input: each.input }),
  });
  return {
    code: result.exitCode ?? result.signal,
    stdout: Buffer.from(result.stdout),
    stderr: Buffer.from(result.stderr),
  };
}

async function runWarm(each: EqualityCase, service: WarmService): Promise<Printed | string> {
  const { workspace } = homeOf(each);
  const limit = createCallLimit({ timeoutMs: 100_000 }, never);
  const options = { cwd: path.join(workspace, each.folder ?? '') };
  const input = each.input === undefined ? {} : { input: Buffer.from(each.input) };
  const call = { argv: each.argv, options, limit, outlivesCall: false, beforeGo: () => undefined, ...input };
  const attempt = await service.attempt(call, each.env ?? {});
  if (attempt.kind === 'fallback') return attempt.why;
  if (attempt.kind === 'interrupted') throw new Error('it took too long');
  const { end, printed } = attempt;
  const code = end.kind === 'exited' ? end.code : end.kind === 'signalled' ? end.signal : end.kind;
  return { code, stdout: Buffer.from(printed.stdout), stderr: Buffer.from(printed.stderr) };
}

const isSame = (bare: Printed, warm: Printed): boolean =>
  bare.code === warm.code && bare.stdout.equals(warm.stdout) && bare.stderr.equals(warm.stderr);

/** Without rich's spinner and the ages: both depend on when the server answered, which differs between two processes. */
function withoutTimes(printed: Printed): Printed {
  // oxlint-disable-next-line no-control-regex -- this removes control sequences
  const frames = /\u001B\[32m[\u2800-\u28FF]\u001B\[0m [\w ]+\.\.\.(?:\r\u001B\[2K)?/gu;
  const ages = /\b\d+ \w+ ago *|\bnow *(?=\n)/gu;
  return { ...printed, stdout: Buffer.from(printed.stdout.toString().replace(frames, '').replace(ages, '<age>')) };
}

const readable = (printed: Printed) => ({
  code: printed.code,
  stdout: printed.stdout.toString(),
  stderr: printed.stderr.toString(),
});

const describeCase = (each: EqualityCase): string => {
  const env = Object.entries(each.env ?? {}).map(([name, value]) => `${name}=${value}`);
  const input = each.input === undefined ? [] : [`< ${each.input.length} bytes`];
  return [
    ...env,
    'dstack',
    ...each.argv,
    ...input,
    `(${each.home}${each.folder === undefined ? '' : `, in ${each.folder}`})`,
  ].join(' ');
};

describe('warm processes print what the bare CLI prints, byte for byte', () => {
  const cases = EQUALITY_CASES.map((each) => ({ name: describeCase(each), each }));

  test.concurrent.for(cases)('$name', async ({ name, each }, { expect, task }) => {
    for (let attempt = 1; ; attempt++) {
      const warmRuns = homeOf(each).services.map((service) => runWarm(each, service));
      const [bare, ...warm] = await Promise.all([runBare(each), ...warmRuns]);
      const why = warm.find((run) => typeof run === 'string');
      if (why !== undefined) {
        expect(warm).toEqual([each.aside, each.aside]);
        aside.push(why);
        task.meta.steppedAside = why;
        return;
      }
      // On a busy machine, spinners and ages hardly ever match: if only they differ, comparing again would not help.
      const steady = (printed: Printed): Printed => (each.unsteady === true ? withoutTimes(printed) : printed);
      const expected = steady(bare);
      const received = warm.filter((run) => typeof run !== 'string').map(steady);
      const isEqual = received.every((run) => isSame(expected, run));
      if (!isEqual && each.unsteady === true && attempt < 10) continue;
      expect(received.map(readable)).toEqual([readable(expected), readable(expected)]);
      expect(isEqual).toBe(true);
      expect(each.aside).toBeUndefined();
      equal.push(name);
      return;
    }
  });
});

describe('the comparison', () => {
  test('holds for at least 120 commands, and the worker falls back only for variables that are read on import', ({
    expect,
  }) => {
    expect(equal.length).toBeGreaterThanOrEqual(120);
    expect(equal.length + aside.length).toBe(EQUALITY_CASES.length);
    expect(aside.every((why) => why.endsWith(' is read on import'))).toBe(true);
  });
});
