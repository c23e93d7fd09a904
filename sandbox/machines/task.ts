import type { Container } from './container.ts';
import { CONTAINER_SSH_PORT, RUNNER_PORT } from './container.ts';
import type { Scenario } from './scenarios.ts';

/** The status of a task in the shim API. */
export type TaskStatus = 'pulling' | 'creating' | 'running' | 'terminated';

const IMAGE_BYTES = 2e9;

/** Options for a task. */
export interface TaskOptions {
  readonly id: string;
  readonly name: string;
  readonly scenario: Scenario;
  readonly container: Container;
  /** Undefined if the container shares the ports of its host. */
  readonly ports: { readonly runner: number; readonly ssh: number } | undefined;
}

/** A task of the shim: it pulls an image, creates a container, runs it, and terminates. */
export class Task {
  readonly id: string;
  readonly name: string;
  readonly container: Container;
  readonly runnerPort: number;
  readonly sshPort: number;
  readonly #options: TaskOptions;
  readonly #createdAtMs = Date.now();
  #termination: { readonly reason: string; readonly message: string } | undefined;

  constructor(options: TaskOptions) {
    this.id = options.id;
    this.name = options.name;
    this.container = options.container;
    this.runnerPort = options.ports?.runner ?? RUNNER_PORT;
    this.sshPort = options.ports?.ssh ?? CONTAINER_SSH_PORT;
    this.#options = options;
  }

  get status(): TaskStatus {
    const { pullMs = 0, createMs = 0, pullError } = this.#options.scenario;
    const ageMs = Date.now() - this.#createdAtMs;
    if (pullError !== undefined && ageMs >= pullMs) this.terminate('creating_container_error', pullError);
    if (this.#termination) return 'terminated';
    if (ageMs < pullMs) return 'pulling';
    return ageMs < pullMs + createMs ? 'creating' : 'running';
  }

  get terminationReason(): string {
    return this.#termination?.reason ?? '';
  }

  /** Returns whether the container accepts connections. */
  get isUp(): boolean {
    const { pullMs = 0, createMs = 0, runnerMs = 0 } = this.#options.scenario;
    return this.status === 'running' && Date.now() - this.#createdAtMs >= pullMs + createMs + runnerMs;
  }

  /** Terminates the task. Keeps the reason of the first call. */
  terminate(reason: string, message: string): void {
    if (this.#termination) return;
    this.#termination = { reason, message };
    void this.container.destroy();
  }

  /** Returns the task in the format of the shim API. */
  describe(): Record<string, unknown> {
    const status = this.status;
    return {
      id: this.id,
      status,
      termination_reason: this.terminationReason,
      termination_message: this.#termination?.message ?? '',
      ports: status === 'running' ? this.#describePorts() : null,
      ...(status === 'pulling' ? { image_pull_progress: this.#describePull() } : {}),
    };
  }

  #describePorts(): readonly { container: number; host: number }[] {
    const { ports } = this.#options;
    if (!ports) return [];
    return [
      { container: RUNNER_PORT, host: ports.runner },
      { container: CONTAINER_SSH_PORT, host: ports.ssh },
    ];
  }

  #describePull(): Record<string, unknown> {
    const share = Math.min(1, (Date.now() - this.#createdAtMs) / (this.#options.scenario.pullMs ?? 1));
    return {
      downloaded_bytes: Math.floor(share * IMAGE_BYTES),
      extracted_bytes: Math.floor(share * IMAGE_BYTES * 0.75),
      total_bytes: IMAGE_BYTES,
      is_total_bytes_final: true,
    };
  }
}
