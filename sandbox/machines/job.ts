import type { JobScript } from './write-job-script.ts';
import { writeJobScript } from './write-job-script.ts';
import type { Scenario } from './scenarios.ts';
import type { Submission } from './submission.ts';
import { describeJob } from './submission.ts';

/** A line of output, as the runner hands it to the server. */
export interface LogEntry {
  readonly timestamp: number;
  /** Base64. */
  readonly message: string;
}

/** A step in the life of a job, as the runner reports it. */
export interface JobStateEvent {
  readonly timestamp: number;
  readonly state: 'running' | 'done' | 'failed' | 'terminated';
  readonly termination_reason?: string;
  readonly termination_message?: string;
  readonly exit_status?: number;
}

/** What a job has to say since a moment. */
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

/** The life of one simulated job: submitted, running by its script, and finished once, for one reason. */
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

  /** What the server submitted, once it did. */
  get submission(): Submission | undefined {
    return this.#phase.kind === 'waiting' ? undefined : this.#phase.submission;
  }

  get isFinished(): boolean {
    return this.#phase.kind === 'finished';
  }

  /** Since when the job runs; undefined while it doesn't. */
  get runningSinceMs(): number | undefined {
    return this.#phase.kind === 'running' || this.#phase.kind === 'stopping' ? this.#phase.sinceMs : undefined;
  }

  submit(submission: Submission): void {
    if (this.#phase.kind === 'waiting') this.#phase = { kind: 'submitted', submission };
  }

  /** Starts the job; only one that was submitted and hasn't started yet does. */
  start(): void {
    if (this.#phase.kind !== 'submitted') return;
    const { submission } = this.#phase;
    this.#phase = { kind: 'running', submission, sinceMs: Date.now() };
    this.#addRunnerLog('Starting the job\n');
    this.#addState({ state: 'running' });
    const maxDurationS = submission.job_spec.max_duration;
    // setTimeout can't wait longer than 2^31 ms
    if (maxDurationS != null && maxDurationS < 2_000_000) {
      this.#later(maxDurationS * 1000, () =>
        this.#finish({ state: 'terminated', termination_reason: 'max_duration_exceeded' }),
      );
    }
    this.#play(this.#chooseScript(submission), 0);
  }

  /** Asks the job to end, as `dstack stop` does. */
  stop(): void {
    if (this.#phase.kind === 'finished' || this.#phase.kind === 'stopping') return;
    this.#addRunnerLog('Stop requested\n');
    this.#clearTimers();
    const ended = { state: 'terminated', termination_reason: 'terminated_by_user' } as const;
    if (this.#phase.kind === 'running') this.#phase = { ...this.#phase, kind: 'stopping' };
    this.#later(this.#scenario.stopMs ?? 50, () => this.#finish(ended));
  }

  /** Ends the job without a word, as a container that is removed. */
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

  /** Log entries from a position on. */
  logsFrom(position: number): readonly LogEntry[] {
    return this.#logs.slice(position);
  }

  /** Calls back after each change until the returned function is called. */
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

  // the server asks for what is later than the last it saw, so no two entries may share a moment
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
