import type { JobScript } from './write-job-script.ts';
import { writeJobScript } from './write-job-script.ts';
import type { Scenario } from './scenarios.ts';
import type { Submission } from './submission.ts';
import { describeJob } from './submission.ts';

/** Output in the format of the runner's API. */
export interface LogEntry {
  readonly timestamp: number;
  /** Base64. */
  readonly message: string;
}

/** A state change in the format of the runner's API. */
export interface JobStateEvent {
  readonly timestamp: number;
  readonly state: 'running' | 'done' | 'failed' | 'terminated';
  readonly termination_reason?: string;
  readonly termination_message?: string;
  readonly exit_status?: number;
}

/** The runner's report of everything since a timestamp. */
export interface JobReport {
  readonly job_states: readonly JobStateEvent[];
  readonly job_logs: readonly LogEntry[];
  readonly runner_logs: readonly LogEntry[];
  readonly last_updated: number;
  readonly has_more: boolean;
}

type Phase =
  | { readonly kind: 'waiting' }
  | { readonly kind: 'submitted'; readonly submission: Submission }
  | { readonly kind: 'running'; readonly submission: Submission; readonly sinceMs: number }
  | { readonly kind: 'stopping'; readonly submission: Submission; readonly sinceMs: number }
  | { readonly kind: 'finished'; readonly submission: Submission | undefined };

/** A simulated job: it is submitted, runs its script, and finishes once. */
export class Job {
  readonly #scenario: Scenario;
  readonly #printCommand: (command: string) => string | undefined;
  readonly #logs: LogEntry[] = [];
  readonly #runnerLogs: LogEntry[] = [];
  readonly #states: JobStateEvent[] = [];
  readonly #listeners = new Set<() => void>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #phase: Phase = { kind: 'waiting' };
  #lastTimestamp = 0;

  constructor(scenario: Scenario, printCommand: (command: string) => string | undefined) {
    this.#scenario = scenario;
    this.#printCommand = printCommand;
  }

  /** The server's submission, or undefined before it. */
  get submission(): Submission | undefined {
    return this.#phase.kind === 'waiting' ? undefined : this.#phase.submission;
  }

  get isFinished(): boolean {
    return this.#phase.kind === 'finished';
  }

  /** The start time while the job is running, otherwise undefined. */
  get runningSinceMs(): number | undefined {
    return this.#phase.kind === 'running' || this.#phase.kind === 'stopping' ? this.#phase.sinceMs : undefined;
  }

  submit(submission: Submission): void {
    if (this.#phase.kind === 'waiting') this.#phase = { kind: 'submitted', submission };
  }

  /** Starts the job, if it was submitted and has not started yet. */
  start(): void {
    if (this.#phase.kind !== 'submitted') return;
    const { submission } = this.#phase;
    this.#phase = { kind: 'running', submission, sinceMs: Date.now() };
    this.#addRunnerLog('Starting the job\n');
    this.#addState({ state: 'running' });
    const maxDurationS = submission.job_spec.max_duration;
    // setTimeout is limited to 2^31 ms.
    if (maxDurationS != null && maxDurationS < 2_000_000) {
      this.#later(maxDurationS * 1000, () =>
        this.#finish({ state: 'terminated', termination_reason: 'max_duration_exceeded' }),
      );
    }
    this.#play(this.#chooseScript(submission), 0);
  }

  /** Stops the job as `dstack stop` does. */
  stop(): void {
    if (this.#phase.kind === 'finished' || this.#phase.kind === 'stopping') return;
    this.#addRunnerLog('Stop requested\n');
    this.#clearTimers();
    const ended = { state: 'terminated', termination_reason: 'terminated_by_user' } as const;
    if (this.#phase.kind === 'running') this.#phase = { ...this.#phase, kind: 'stopping' };
    this.#later(this.#scenario.stopMs ?? 50, () => this.#finish(ended));
  }

  /** Ends the job without a report, like a removed container. */
  kill(): void {
    this.#clearTimers();
    if (this.#phase.kind === 'finished') return;
    this.#phase = { kind: 'finished', submission: this.submission };
    this.#notify();
  }

  reportSince(timestamp: number): JobReport {
    const later = <Entry extends { readonly timestamp: number }>(entries: readonly Entry[]): Entry[] =>
      entries.filter((entry) => entry.timestamp > timestamp);
    return {
      job_states: later(this.#states),
      job_logs: later(this.#logs),
      runner_logs: later(this.#runnerLogs),
      last_updated: this.#lastTimestamp,
      has_more: !this.isFinished,
    };
  }

  /** Returns the log entries from a position. */
  logsFrom(position: number): readonly LogEntry[] {
    return this.#logs.slice(position);
  }

  /** Calls the listener after each change, until the returned function is called. */
  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #chooseScript(submission: Submission): JobScript {
    const { script, exitCode, untilStopped } = this.#scenario;
    const byConfiguration = writeJobScript({ ...describeJob(submission), printCommand: this.#printCommand });
    const steps = script?.map(([delayMs, text]) => ({ delayMs, text })) ?? byConfiguration.steps;
    if (untilStopped === true) return { steps, ending: { kind: 'until-stopped' } };
    if (exitCode !== undefined) return { steps, ending: { kind: 'exit', exitCode, delayMs: 0 } };
    return { steps, ending: byConfiguration.ending };
  }

  #play(script: JobScript, position: number): void {
    const step = script.steps[position];
    if (step) {
      this.#later(step.delayMs, () => {
        this.#addLog(step.text);
        this.#play(script, position + 1);
      });
    } else if (script.ending.kind === 'exit') {
      const { exitCode, delayMs } = script.ending;
      this.#later(delayMs, () => this.#exit(exitCode));
    }
  }

  #exit(exitCode: number): void {
    this.#addRunnerLog(`The job exited with ${exitCode}\n`);
    if (exitCode === 0) {
      this.#finish({ state: 'done', termination_reason: 'done_by_runner', exit_status: 0 });
    } else {
      const termination_reason = 'container_exited_with_error';
      this.#finish({ state: 'failed', termination_reason, termination_message: '', exit_status: exitCode });
    }
  }

  #finish(ended: Omit<JobStateEvent, 'timestamp'>): void {
    this.#clearTimers();
    this.#phase = { kind: 'finished', submission: this.submission };
    this.#addState(ended);
  }

  #addLog(text: string): void {
    this.#logs.push({ timestamp: this.#tick(), message: Buffer.from(text).toString('base64') });
    this.#notify();
  }

  #addRunnerLog(text: string): void {
    this.#runnerLogs.push({ timestamp: this.#tick(), message: Buffer.from(text).toString('base64') });
  }

  #addState(event: Omit<JobStateEvent, 'timestamp'>): void {
    this.#states.push({ timestamp: this.#tick(), ...event });
    this.#notify();
  }

  // Timestamps must be unique, since the server asks for entries later than the last one that it received.
  #tick(): number {
    this.#lastTimestamp = Math.max(this.#lastTimestamp + 1, Date.now());
    return this.#lastTimestamp;
  }

  #later(delayMs: number, act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, delayMs);
    this.#timers.add(timer);
  }

  #clearTimers(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
  }

  #notify(): void {
    for (const listener of this.#listeners) listener();
  }
}
