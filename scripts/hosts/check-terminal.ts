import { execa } from 'execa';
import type { Host } from './hosts.ts';
import type { Findings } from './check-host.ts';
import { consentsIn, createTurns, isEnding, leftIn } from './prepare-turn.ts';
import type { Surroundings, Turn } from './prepare-turn.ts';
import { createScript, FINISHED, isDone, nextOfRound } from './round.ts';
import type { PlayedCall } from './round.ts';
import { TERMINALS } from './terminals.ts';
import { react, startInTerminal } from './terminal.ts';
import type { Reaction } from './terminal.ts';

/** The time limit of a turn. A limit against hangs. */
const TURN_MS = 240_000;
/** A person who presses Enter at everything gives up at some time. */
const IMPATIENT_MS = 30_000;

/** Without tmux, or without knowing how the host is used in a terminal. */
export const NOT_TRIED = 'not tried';

/** The findings, and the level of consent to a change that a person approved in the terminal. */
export interface TerminalReport {
  readonly findings: Findings;
  readonly approved: string;
}

/** Plays the life of a run in a host's terminal, with a person who reads its questions; then with one who presses Enter at everything. */
export async function checkTerminal(host: Host, program: string, around: Surroundings): Promise<TerminalReport> {
  const terminal = TERMINALS[host.id];
  const { failed: hasNoTmux } = await execa('tmux', ['-V'], { reject: false });
  if (terminal === undefined || hasNoTmux) return { findings: {}, approved: NOT_TRIED };
  const turns = createTurns(host, program, around);
  const { args, approves, form } = terminal;
  const careful = await play(await turns.prepare('terminal', {}), [...approves, ...form]);
  const findings = {
    'a person approves in the terminal, and the change is made': careful.hasApplied ? undefined : careful.shown,
    'the run is stopped from the terminal': isOver(careful.status) ? undefined : `it is ${careful.status}`,
    'nothing is left after the terminal is closed': careful.left.length === 0 ? undefined : careful.left.join('; '),
  };
  if (form.length === 0) return { findings, approved: 'token' };
  const enter = [...approves, ...form.map(({ sees }) => ({ sees, presses: ['Enter'] }))];
  const hasty = await play(await turns.prepare('enter', {}), enter, IMPATIENT_MS);
  return {
    findings: {
      ...findings,
      'the form offers no first, and then what would be done': /No, do nothing[^]*Yes, create/.test(careful.shown)
        ? undefined
        : careful.shown,
      'Enter at every question starts nothing': hasty.status === undefined ? undefined : hasty.shown,
    },
    approved: careful.consents.find((level) => level === 'person-form') ?? 'no form',
  };

  async function play(
    { options, played, run, home, stateDir }: Turn,
    reactions: readonly Reaction[],
    limitMs = TURN_MS,
  ) {
    const script = createScript(nextOfRound(run), { played });
    const opened = await startInTerminal(host, args, { ...options, script });
    let shown: string;
    try {
      shown = (await react(opened, reactions, { until: FINISHED, limitMs })).join('\n');
    } finally {
      await opened.stop();
    }
    const status = await turns.statusOf(run);
    if (status !== undefined && !isEnding(status)) await turns.stopRun(run);
    const applied = played.calls.find(({ tool }: PlayedCall) => tool === 'apply');
    const left = await leftIn(home);
    const consents = await consentsIn(stateDir, 'level');
    return { shown, status, left, consents, hasApplied: applied !== undefined && isDone(applied.text) };
  }
}

const isOver = (status: string | undefined): boolean => status !== undefined && isEnding(status);
