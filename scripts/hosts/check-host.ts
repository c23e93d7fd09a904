import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { createHome } from '../../sandbox/create-home.ts';
import { createRestClient } from '../../sandbox/rest-client.ts';
import { processesIn } from '../../test/support/processes.ts';
import { READABLE } from './hosts.ts';
import type { Host } from './hosts.ts';
import { signalGroup, startHost } from './play-host.ts';
import type { RunningHost } from './play-host.ts';
import { createScript, isDone, LOG_LINES, logLine, nextOfRound, tokenIn } from './round.ts';
import type { Played, PlayedCall } from './round.ts';

/** The sandbox that the hosts' servers use, and what they are started with. */
export interface Surroundings {
  readonly url: string;
  readonly token: string;
  readonly cli: string;
  /** The built server. */
  readonly server: string;
  /** An empty folder. */
  readonly folder: string;
}

/** The findings by check: undefined if it holds, otherwise the problem. */
export type Findings = Readonly<Record<string, string | undefined>>;

export interface HostReport {
  readonly findings: Findings;
  /** The number of this server's tools that the model was given; 0 if it has to search for them. */
  readonly tools: number;
  /** The level of consent to a change without a setting for unattended use, or the code of the refusal. */
  readonly unattended: string;
}

/** The time limits of a host's turn, and of its server's end after it. Limits against hangs. */
const TURN_MS = 120_000;
const END_MS = 10_000;

/** Drives a host through the life of a run, a change that nobody approves, Ctrl-C and a kill. */
export async function checkHost(host: Host, program: string, around: Surroundings): Promise<HostReport> {
  const check = createChecker(host, program, around);
  const round = await check.play('round', { DSTACK_MCP_CONFIRM: 'token' });
  const unattended = await check.play('asked', {});
  return {
    findings: {
      ...judgeRound(round),
      ...judgeUnattended(unattended),
      'nothing is left after Ctrl-C': await check.interrupt('ctrl-c', pressCtrlC),
      'nothing is left after kill -9': await check.interrupt('kill', killParent),
    },
    tools: round.played.tools.size,
    unattended: decisionIn(textOf(unattended.played.calls, 'apply')),
  };
}

interface Round {
  readonly played: Played;
  readonly printed: string;
  /** The status of the run in dstack; undefined if it doesn't exist. */
  readonly status: string | undefined;
  /** The reasons in the audit log. */
  readonly consents: readonly string[];
  readonly left: readonly string[];
}

function createChecker(host: Host, program: string, around: Surroundings) {
  const request = createRestClient(around.url, around.token);

  const prepare = async (label: string, settings: Readonly<Record<string, string>>) => {
    const folder = path.join(around.folder, `${host.id}-${label}`);
    const run = `${host.id}-${label}-${process.pid.toString(36)}`;
    const { url, token, cli } = around;
    const home = path.join(folder, 'dstack');
    const made = await createHome({ home, url, token, project: 'main', binFolder: path.dirname(cli) });
    await mkdir(path.join(folder, 'home'), { recursive: true });
    await writeFile(path.join(made.workspace, `${run}.dstack.yml`), stringify(configurationOf(run)));
    const stateDir = path.join(home, 'state');
    const serverEnv = {
      ...made.env,
      DSTACK_MCP_CLI: cli,
      DSTACK_MCP_WORKSPACE: made.workspace,
      DSTACK_MCP_STATE_DIR: stateDir,
      DSTACK_MCP_DIALOG: 'off',
      ...settings,
    };
    const played: Played = { tools: new Set(), calls: [] };
    return { options: { program, folder, server: around.server, serverEnv }, played, run, home, stateDir };
  };

  return {
    async play(label: string, settings: Readonly<Record<string, string>>): Promise<Round> {
      const { options, played, run, home, stateDir } = await prepare(label, settings);
      const running = await startHost(host, { ...options, script: createScript(nextOfRound(run), { played }) });
      try {
        await Promise.race([running.ended, delay(TURN_MS, undefined, { ref: false })]);
        const status = await statusOf(run);
        if (status !== undefined && !isEnding(status)) await stopRun(run);
        const left = await leftIn(home);
        return { played, printed: running.printed(), status, consents: await consentsIn(stateDir), left };
      } finally {
        await running.stop();
      }
    },

    /** Starts a turn whose model never answers after the first result, ends the host, and returns what is left of the server. */
    async interrupt(label: string, end: (running: RunningHost, home: string) => Promise<void> | void) {
      const { options, played, home } = await prepare(label, {});
      const next = () => ({ tool: 'ps', args: {} });
      const running = await startHost(host, { ...options, script: createScript(next, { played, hangsAfter: 'ps' }) });
      try {
        const hasCalled = await within(TURN_MS, () => Promise.resolve(played.calls.length > 0));
        if (!hasCalled) return `it made no call: ${running.printed().slice(-500)}`;
        await end(running, home);
        const left = await leftIn(home);
        return left.length === 0 ? undefined : left.join('; ');
      } finally {
        await running.stop();
      }
    },
  };

  async function statusOf(run: string): Promise<string | undefined> {
    const found = await request('/api/project/main/runs/get', { run_name: run }).catch(() => undefined);
    return typeof found === 'object' && found !== null && 'status' in found ? String(found.status) : undefined;
  }

  async function stopRun(run: string): Promise<void> {
    await request('/api/project/main/runs/stop', { runs_names: [run], abort: false });
  }
}

const configurationOf = (name: string): object => ({
  type: 'task',
  name,
  commands: [
    `for n in ${Array.from({ length: LOG_LINES }, (_, index) => index + 1).join(' ')}; do echo "${logLine('$n')}"; done`,
    'sleep 600',
  ],
  resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
});

const isEnding = (status: string): boolean => ['terminating', 'terminated', 'failed', 'done'].includes(status);

/** The first press may only pause the agent, so presses again until the host ends, as a person would. */
async function pressCtrlC({ process: host, ended }: RunningHost): Promise<void> {
  for (let presses = 0; presses < 5 && host.exitCode === null && host.signalCode === null; presses += 1) {
    signalGroup(host, 'SIGINT');
    await Promise.race([ended, delay(2_000, undefined, { ref: false })]);
  }
}

/** Kills the host's process that started the server, as a crash would. */
async function killParent(_running: RunningHost, home: string): Promise<void> {
  const server = (await processesIn(home)).find(({ command }) => command.includes('dstack-mcp.mjs'));
  if (server === undefined) throw new Error('the server is not running');
  const status = await readFile(`/proc/${server.pid}/status`, 'utf8');
  process.kill(Number(/^PPid:\s+(\d+)$/m.exec(status)?.[1]), 'SIGKILL');
}

/** Returns the processes of a server, and of what it started, that don't end. */
async function leftIn(home: string): Promise<string[]> {
  await within(END_MS, async () => (await processesIn(home)).length === 0);
  return (await processesIn(home)).map(({ pid, command }) => `${pid} ${command}`);
}

/** Returns whether something becomes true in time. */
async function within(limitMs: number, isTrue: () => Promise<boolean>): Promise<boolean> {
  const end = Date.now() + limitMs;
  while (!(await isTrue())) {
    if (Date.now() > end) return false;
    await delay(100);
  }
  return true;
}

async function consentsIn(stateDir: string): Promise<string[]> {
  const text = await readFile(path.join(stateDir, 'audit', 'audit.jsonl'), 'utf8').catch(() => '');
  const lines = text.split('\n').filter(Boolean);
  return lines.flatMap((line) => {
    const entry: unknown = JSON.parse(line);
    const why: unknown = typeof entry === 'object' && entry !== null ? Reflect.get(entry, 'why') : undefined;
    return typeof why === 'string' ? [why] : [];
  });
}

const textOf = (calls: readonly PlayedCall[], tool: string): string =>
  calls.findLast((call) => call.tool === tool)?.text ?? '';

function judgeRound({ played: { calls }, printed, status, left }: Round): Findings {
  const of = (tool: string): string => textOf(calls, tool);
  const excerpt = (text: string): string =>
    text === '' ? `there is no result; the host printed: ${printed.slice(-1000)}` : text.slice(0, 1500);
  const holds = (isTrue: boolean, otherwise: string): string | undefined => (isTrue ? undefined : excerpt(otherwise));
  const log = of('logs');
  const [applied = '', stopped = of('stop')] = calls.filter(({ tool }) => tool === 'apply').map(({ text }) => text);
  return {
    [READABLE]: holds(/\n *#? *BACKEND +RESOURCES/.test(of('plan')), of('plan')),
    'the token arrives': holds(tokenIn(of('plan')) !== undefined, of('plan')),
    'a change with its token is made': holds(isDone(applied), applied),
    'get waits until it runs': holds(/reached[\\"*`]*: *[\\"*`]*true/.test(of('get')), of('get')),
    'the log is not cut': holds(log.includes(logLine(1)) && log.includes(logLine(LOG_LINES)), log),
    'the run is stopped': holds(isDone(stopped) && status !== undefined && isEnding(status), stopped),
    'nothing is left after its end': left.length === 0 ? undefined : left.join('; '),
  };
}

/** Returns the level of consent, or the code of the refusal. */
const decisionIn = (text: string): string =>
  /(?:\b|\\n)(?:(?:consent|code)[\\"`*]*:|approved by) *[\\"`]*([a-z-]+)/.exec(text)?.[1] ?? 'no result';

function judgeUnattended({ played: { calls }, status, consents }: Round): Findings {
  const text = textOf(calls, 'apply');
  const isTrue = isDone(text)
    ? status !== undefined
    : status === undefined && !/person[- ]declined/i.test(`${text} ${consents.join(' ')}`) && /refused/.test(text);
  return { 'a change that nobody approves ends truthfully': isTrue ? undefined : text.slice(0, 1500) };
}
