import type { CheckedArgv } from '../dstack/argv/command.ts';
import type { Transcript } from '../core/transcript.ts';
import type { RunOptions } from '../dstack/run/runner.ts';
import type { App } from '../app.ts';
import type { ChangeOutcome } from '../dstack/output/read-outcome.ts';
import type { Consent } from '../safety/consent/consent.ts';
import { describeLevel } from '../safety/consent/describe-change.ts';
import type { Report } from '../core/report.ts';
import type { ChangeFacts } from './change-facts.ts';
import { ANSWER_RESERVE_MS } from '../dstack/client/dstack-client.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { findResource } from '../dstack/client/find-resource.ts';
import type { ResourceKind } from '../dstack/client/find-resource.ts';
import type { Deadline } from '../core/deadline.ts';

/** Time kept back for looking where the resource stands after the change. */
const LOOK_MS = 6_000;

export interface Removal {
  readonly argv: CheckedArgv<'destroy'>;
  readonly consent: Consent;
  /** Reads what dstack's words say that it did. */
  readonly read: (transcript: Transcript) => ChangeOutcome;
  readonly facts: Partial<ChangeFacts>;
  /** The file that dstack is given, where it is given one. */
  readonly where?: Pick<RunOptions, 'cwd' | 'pinnedFile'>;
  readonly look: { readonly kind: ResourceKind; readonly name: string; readonly project: string | undefined };
  /** Whether a status shows that it took hold; unless given, any does. */
  readonly isEnding?: (status: string) => boolean;
}

/** Stops or deletes what was consented to, once, and looks what is left of it. */
export async function executeRemoval(
  engine: App,
  { commands, time }: { commands: DstackClient; time: Deadline },
  { argv, consent, read, facts, look, where, isEnding = (): boolean => true }: Removal,
): Promise<Report<ChangeFacts>> {
  const { runner } = await engine.cli();
  time.progress(`dstack ${argv.command}`);
  const transcript = await runner.change(argv, consent, {
    ...where,
    timeoutMs: Math.max(5_000, time.remainingMs() - LOOK_MS - ANSWER_RESERVE_MS),
  });
  engine.retryGuard.worldChanged();
  const change = read(transcript);
  const left = await findResource(commands, look).catch(() => undefined);
  const status = left?.status ?? (change.outcome === 'done' ? 'gone' : undefined);
  const isStill = change.outcome === 'done' && status !== undefined && !isEnding(status);
  return {
    outcome: change.outcome,
    summary: `${change.message.replace(/\.?$/, '.')}${status === undefined ? '' : ` The ${look.kind} ${look.name} is ${status}.`}`,
    printed: [{ transcript, keep: 'end' }],
    facts: {
      ...facts,
      consent: `${consent.level}: ${describeLevel(consent.level)}`,
      ...(status === undefined ? {} : { status }),
    },
    // dstack can lose a stop that meets its own update of the run; it has said that it was done.
    next: isStill
      ? `dstack has taken it, and the ${look.kind} is still ${status}. Look again with get: where it stays so, preview it once more.`
      : change.hint,
  };
}
