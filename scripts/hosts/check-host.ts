import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { processesIn } from '../../test/support/processes.ts';
import { checkTerminal } from './check-terminal.ts';
import { READABLE } from './hosts.ts';
import type { Host } from './hosts.ts';
import { signalGroup, startHost } from './play-host.ts';
import type { RunningHost } from './play-host.ts';
import { consentsIn, createTurns, isEnding, leftIn, within } from './prepare-turn.ts';
import type { Surroundings } from './prepare-turn.ts';
import { createScript, isDone, LOG_LINES, logLine, nextOfRound, tokenIn } from './round.ts';
import type { Played, PlayedCall } from './round.ts';

/** The findings by check: undefined if it holds, otherwise the problem. */
export type Findings = Readonly<Record<string, string | undefined>>;

export interface HostReport {
  readonly findings: Findings;
  /** The number of this server's tools that the model was given; 0 if it has to search for them. */
  readonly tools: number;
  /** The level of consent to a change without a setting for unattended use, or the code of the refusal. */
  readonly unattended: string;
  /** The level of consent to a change that a person approved in its terminal; `not tried` without one. */
  readonly terminal: string;
}

/** The time limit of a host's turn. A limit against hangs. */
const TURN_MS = 120_000;

/** Drives a host through the life of a run, a change that nobody approves, Ctrl-C and a kill. */
export async function checkHost(host: Host, program: string, around: Surroundings): Promise<HostReport> {
  const check = createChecker(host, program, around);
  const round = await check.play('round', { DSTACK_MCP_CONFIRM: 'token' });
  const unattended = await check.play('asked', {});
  const terminal = await checkTerminal(host, program, around);
  return {
    findings: {
      ...judgeRound(round),
      ...judgeUnattended(unattended),
      ...terminal.findings,
      'nothing is left after Ctrl-C': await check.interrupt('ctrl-c', pressCtrlC),
      'nothing is left after kill -9': await check.interrupt('kill', killParent),
    },
    tools: round.played.tools.size,
    unattended: decisionIn(textOf(unattended.played.calls, 'apply')),
    terminal: terminal.approved,
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
  const turns = createTurns(host, program, around);

  return {
    async play(label: string, settings: Readonly<Record<string, string>>): Promise<Round> {
      const { options, played, run, home, stateDir } = await turns.prepare(label, settings);
      const running = await startHost(host, { ...options, script: createScript(nextOfRound(run), { played }) });
      try {
        await Promise.race([running.ended, delay(TURN_MS, undefined, { ref: false })]);
        const status = await turns.statusOf(run);
        if (status !== undefined && !isEnding(status)) await turns.stopRun(run);
        const left = await leftIn(home);
        return { played, printed: running.printed(), status, consents: await consentsIn(stateDir), left };
      } finally {
        await running.stop();
      }
    },

    /** Starts a turn whose model never answers after the first result, ends the host, and returns what is left of the server. */
    async interrupt(label: string, end: (running: RunningHost, home: string) => Promise<void> | void) {
      const { options, played, home } = await turns.prepare(label, {});
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
}

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
