/** A request to a simulated application. */
export interface AppRequest {
  method: string;
  path: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: string;
}

/** The response of a simulated application. */
export interface AppReply {
  /** Defaults to 200. */
  status?: number;
  headers?: Record<string, string>;
  /** A stream is sent part by part, until it ends or the client is gone. */
  body: string | AsyncIterable<string>;
}

/** A simulated application, which answers requests from memory. */
export type App = (request: AppRequest) => AppReply | Promise<AppReply>;

/** The behavior of a service's model. */
export interface ModelBehavior {
  /** Defaults to 40. */
  readonly firstTokenMs?: number;
  /** The time for each token after the first. Defaults to 8. */
  readonly tokenMs?: number;
  /** Answers every question with this HTTP status. */
  readonly failsWith?: number;
  /** Never ends a streamed answer. */
  readonly isEndless?: boolean;
}

/**
 * The behavior of a run's jobs on a simulated host. Defaults follow from the run's configuration. The startup times are read on every
 * request of the server, so a test can change them while a pull is in progress.
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
  /** The time for which a running job refuses connections to its ports, as while a model loads. Defaults to 0. */
  readonly loadMs?: number;
  readonly model?: ModelBehavior;
  readonly gpuUtilization?: number;
  readonly memoryBytes?: number;
  /** The limit of all files of a container. Defaults to 1 GiB. */
  readonly diskBytes?: number;
}

/** The scenarios by name. A task's own name comes first, then its run's name, then the longest matching prefix. */
export class Scenarios {
  readonly #byName = new Map<string, Scenario>();

  set(runName: string, scenario: Scenario): void {
    this.#byName.set(runName, scenario);
  }

  clear(): void {
    this.#byName.clear();
  }

  for(taskName: string): Scenario {
    // dstack names a task <run>-<replica>-<job>.
    const exact = this.#byName.get(taskName) ?? this.#byName.get(taskName.replace(/-\d+-\d+$/, ''));
    if (exact) return exact;
    const prefixes = [...this.#byName.keys()].filter((name) => taskName.startsWith(`${name}-`));
    const longest = prefixes.sort((a, b) => b.length - a.length)[0];
    return (longest === undefined ? undefined : this.#byName.get(longest)) ?? {};
  }
}
