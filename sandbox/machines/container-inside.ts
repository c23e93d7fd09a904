import type { Session } from 'ssh2';
import type { Isolation } from './isolation.ts';
import type { Job } from './job.ts';
import { CONTAINER_PATH, Namespace } from './namespace.ts';
import { serveRealSession } from './real-session.ts';
import type { ContainerFacts } from './run-container-command.ts';
import { listGpus, runContainerCommand } from './run-container-command.ts';
import type { Scenario } from './scenarios.ts';
import { serveSimulatedSession } from './simulated-session.ts';
import { describeJob, findWorkingFolder } from './submission.ts';
import { writeProfile } from './write-profile.ts';

export interface InsideOptions {
  readonly job: Job;
  readonly isolation: Isolation;
  readonly facts: ContainerFacts;
  readonly scenario: Scenario;
}

const DISK_BYTES = 2 ** 30;

/** The processes and files of a container. They exist from the first command on: most containers never get one. */
export class ContainerInside {
  readonly #options: InsideOptions;
  #namespace: Promise<Namespace> | undefined;
  #hasEnded = false;

  constructor(options: InsideOptions) {
    this.#options = options;
  }

  /** Serves a session of an SSH client. */
  serve(session: Session, closed: AbortSignal): void {
    const { isolation, facts } = this.#options;
    if (isolation.kind === 'namespaces') return serveRealSession(session, { enter: () => this.#enter(), closed });
    serveSimulatedSession(session, {
      runCommand: (command) => runContainerCommand(command, facts),
      shellText: `Simulated container of ${facts.hostName}. It only runs single commands, such as: ssh <run> hostname`,
    });
  }

  /** Ends all processes. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    const namespace = await this.#namespace?.catch(() => undefined);
    await namespace?.end();
  }

  #enter(): Promise<Namespace> {
    if (this.#hasEnded) throw new Error('The container has ended.');
    const { job, facts, scenario } = this.#options;
    const { submission } = job;
    this.#namespace ??= Namespace.create({
      hostName: facts.hostName,
      diskBytes: scenario.diskBytes ?? DISK_BYTES,
      profile: submission ? writeProfile({ PATH: CONTAINER_PATH, ...describeJob(submission).variables }) : '',
      gpus: listGpus(facts),
      workingFolder: findWorkingFolder(submission),
    });
    return this.#namespace;
  }
}
