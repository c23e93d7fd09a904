/** What a simulated application is asked. */
export interface AppRequest {
  method: string;
  path: string;
  body: string;
}

/** What a simulated application answers; the status is 200 unless said otherwise. */
export interface AppReply {
  status?: number;
  headers?: Record<string, string>;
  body: string;
}

/** A simulated application: it answers a request from memory and never touches the machine. */
export type App = (request: AppRequest) => AppReply;

/**
 * How the jobs of a run behave on a simulated host; what is left out follows from the run's configuration.
 * The times of a task's start are read whenever the server asks for it, so whoever keeps the object can end a pull that was seen.
 */
export interface Scenario {
  readonly pullMs?: number;
  readonly createMs?: number;
  readonly runnerMs?: number;
  readonly pullError?: string;
  readonly script?: readonly (readonly [delayMs: number, text: string])[];
  readonly exitCode?: number;
  readonly untilStopped?: boolean;
  readonly stopMs?: number;
  readonly apps?: Readonly<Record<number, App>>;
  readonly gpuUtilization?: number;
  readonly memoryBytes?: number;
}

/** Finds the scenario of a task: that of its exact name, else of its run's name, else of the longest prefix of it. */
export class Scenarios {
  readonly #byName = new Map<string, Scenario>();

  set(runName: string, scenario: Scenario): void {
    this.#byName.set(runName, scenario);
  }

  clear(): void {
    this.#byName.clear();
  }

  for(taskName: string): Scenario {
    // dstack names a task <run>-<replica>-<job>
    const exact = this.#byName.get(taskName) ?? this.#byName.get(taskName.replace(/-\d+-\d+$/, ''));
    if (exact) return exact;
    const prefixes = [...this.#byName.keys()].filter((name) => taskName.startsWith(`${name}-`));
    const longest = prefixes.sort((a, b) => b.length - a.length)[0];
    return (longest === undefined ? undefined : this.#byName.get(longest)) ?? {};
  }
}
