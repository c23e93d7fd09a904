import { execa } from 'execa';
import { mkdir, readFile, readdir, symlink } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { agreeing, connect } from '../support/connect.ts';
import { repositoryRoot } from '../support/paths.ts';
import { processesNaming } from '../support/processes.ts';
import { makeTemporary, readUntil } from '../support/run-command.ts';

// The first hour of a user, as the README describes it: each of its commands in a fresh clone with an empty home folder, then a change
// from a client. A command that is new in the README needs an entry in `createSteps`.

/** A build, a sandbox and a demo, on a busy machine. */
const TIMEOUT_MS = 900_000;

/** Returns the commands of a page's shell blocks, in order. */
function commandsOf(page: string): string[] {
  return [...page.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].flatMap(([, block = '']) => block.trim().split('\n'));
}

test(
  'every command of the README works in a fresh clone with an empty home folder',
  async () => {
    const commands = commandsOf(await readFile(path.join(repositoryRoot, 'README.md'), 'utf8'));
    expect(commands.length).toBeGreaterThan(5);
    const walk = await startWalk();
    const steps = createSteps(walk);
    for (const command of commands) {
      const step = steps[command];
      if (step === undefined) throw new Error(`No step runs this command of the README: ${command}`);
      await step();
    }
    await useClient(walk);
    await walk.end();
    expect(await processesNaming(walk.temporary)).toEqual([]);
    expect(await readdir(walk.temporary)).toEqual([]);
    expect(await readdir(path.join(walk.home, '.local', 'state', 'dstack-mcp', 'sandbox'))).toEqual(['state']);
  },
  TIMEOUT_MS,
);

interface Walk {
  readonly home: string;
  readonly temporary: string;
  readonly clone: string;
  readonly env: Readonly<Record<string, string>>;
  run(command: string, cwd?: string): Promise<{ readonly exitCode?: number | undefined; readonly all: string }>;
  /** Starts a command that runs until the end of the walk, and waits for what it prints. */
  startUntil(command: string, words: string): Promise<void>;
  /** Runs a command in a terminal, presses each key once its question is shown, and waits for the last words. */
  answer(command: string, answers: readonly (readonly [question: string, key: string])[], words: string): Promise<void>;
  /** Presses Ctrl+C where a command still runs. */
  end(): Promise<void>;
}

async function startWalk(): Promise<Walk> {
  const [home, temporary, parent] = await Promise.all([makeTemporary(), makeTemporary(), makeTemporary()]);
  const clone = path.join(parent, 'dstack-mcp');
  const env = { HOME: home, TMPDIR: temporary, PATH: process.env['PATH'] ?? '', LANG: 'C.UTF-8' };
  const options = { cwd: clone, env, extendEnv: false, reject: false, all: true } as const;
  const ends: (() => Promise<void>)[] = [];
  const end = async (): Promise<void> => {
    for (const stop of ends.splice(0)) await stop();
  };
  onTestFinished(end);
  const shell = (command: string): readonly [string, string[]] => ['bash', ['-c', command]];
  return {
    home,
    temporary,
    clone,
    env,
    run: (command, cwd = clone) => execa(...shell(command), { ...options, cwd, stdin: 'ignore' }),
    async startUntil(command, words) {
      // A process group, as in a terminal: Ctrl+C goes to npm and to what it started.
      const started = execa(...shell(command), { ...options, stdin: 'ignore', detached: true });
      ends.push(async () => {
        if (started.pid !== undefined && started.exitCode === null) process.kill(-started.pid, 'SIGINT');
        await started;
      });
      await readUntil(started.all, words);
    },
    async answer(command, answers, words) {
      // `script` provides a terminal, without a size.
      const asked = execa('script', ['-qec', `stty cols 100 rows 40; ${command}`, '/dev/null'], {
        ...options,
        stdin: 'pipe',
      });
      for (const [question, key] of answers) {
        await readUntil(asked.all, question);
        asked.stdin.write(key);
      }
      await readUntil(asked.all, words);
      // It waits for the end of its input, not only of the command.
      asked.stdin.end();
      await asked;
    },
    end,
  };
}

/** The steps by command. */
function createSteps(walk: Walk): Readonly<Record<string, () => Promise<void>>> {
  const succeed = async (command: string, words: RegExp, cwd?: string): Promise<void> => {
    const { exitCode, all } = await walk.run(command, cwd);
    expect(exitCode, all).toBe(0);
    expect(all).toMatch(words);
  };
  return {
    // Without the network: from this repository, with its packages and its dstack.
    'git clone https://github.com/dstack-mcp/dstack-mcp': () =>
      succeed(`git clone -q '${repositoryRoot}' '${walk.clone}'`, /^$/, path.dirname(walk.clone)),
    'cd dstack-mcp': async () => {
      await mkdir(path.join(walk.clone, '.cache'));
      for (const name of ['node_modules', '.cache/python'])
        await symlink(path.join(repositoryRoot, name), path.join(walk.clone, name));
    },
    'npm ci && npm run build': () => succeed('npm run build', /> node scripts\/build\.mjs/),
    'node dist/dstack-mcp.mjs doctor': async () => {
      const { exitCode, all } = await walk.run('node dist/dstack-mcp.mjs doctor');
      expect(exitCode, all).toBe(1);
      expect(all).toMatch(
        /^✗ dstack +The dstack CLI was not found\.\n +Fix: Install it with `uv tool install dstack -U`/m,
      );
      expect(all).toMatch(/\n\n1 problem, \d+ warnings?\.$/);
    },
    'npm run sandbox': () => walk.startUntil('npm run sandbox', 'to free its space'),
    'node dist/dstack-mcp.mjs setup cursor --sandbox': () =>
      walk.answer(
        'node dist/dstack-mcp.mjs setup cursor --sandbox',
        [
          ['Who approves a change', '\r'],
          ['Write this?', 'y'],
        ],
        `Wrote ${path.join(walk.home, '.cursor', 'mcp.json')}.`,
      ),
    'npm run demo': () => succeed('npm run demo', /── What to do next ──\n.*node dist\/dstack-mcp\.mjs setup --list/),
  };
}

const cursorFile = z.object({
  mcpServers: z.object({
    'dstack-sandbox': z.object({ args: z.tuple([z.string()]), env: z.record(z.string(), z.string()) }),
  }),
});

/** Does what the README promises, with the server as the client's file starts it. */
async function useClient({ home, env }: Walk): Promise<void> {
  const text = await readFile(path.join(home, '.cursor', 'mcp.json'), 'utf8');
  const entry = cursorFile.parse(JSON.parse(text)).mcpServers['dstack-sandbox'];
  const questions: string[] = [];
  const client = await connect({
    server: entry.args[0],
    env: { ...env, ...entry.env },
    person: (message, field) => {
      questions.push(message);
      return agreeing(message, field);
    },
  });
  const priced = await client.call('plan', { file: 'train.dstack.yml' });
  expect(priced.text).toContain('$0.39/h');
  const { facts } = await client.call('plan', { file: 'ide.dstack.yml' });
  expect(await client.call('apply', { token: facts['token'] })).toMatchObject({
    facts: { outcome: 'done' },
    text: expect.stringContaining('approved by person-form'),
  });
  expect((await client.call('ps')).text).toMatch(/^ *ide /m);
  await client.call('get', { name: 'ide', wait_for: 'running' });
  // dstack can take a stop back; then a user stops the run again.
  let stopped: unknown;
  while (stopped !== 'done') {
    const stop = await client.call('stop', { run: ['ide'] });
    stopped = (await client.call('apply', { token: stop.facts['token'] })).facts['outcome'];
  }
  expect(questions[0]).toContain('Create');
  expect(questions[1]).toContain('Stop');
  await client.close();
}
