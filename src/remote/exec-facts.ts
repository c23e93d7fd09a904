import type { BackgroundJob } from './background-jobs.ts';

/** The facts of a report about commands in a run. */
export interface ExecFacts {
  readonly run: string;
  readonly exitCode: number;
  readonly stdoutBytes: number;
  readonly stderrBytes: number;
  readonly durationMs: number;
  readonly id: string;
  readonly state: BackgroundJob['state'];
  readonly newer: string;
  /** Until when commands and uploads are allowed in the run. */
  readonly grantedUntil: string;
  readonly jobs: { id: string; state: string; exitCode?: number | undefined }[];
}

/** The job that a command ran in. */
export interface Where {
  readonly run: string;
  readonly replica: number;
  readonly job: number;
}

/** Names the job if it isn't the first one. */
export const placeOf = ({ run, replica, job }: Where): string =>
  replica === 0 && job === 0 ? run : `${run} (replica=${replica} job=${job})`;
