export interface DoctorCheck {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'error';
  readonly found: string;
  readonly fix?: string;
  /** The kind of failure, if dstack failed. */
  readonly code?: string;
  /** Details that are shown only on request. */
  readonly details?: string;
}

export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
  /** Counts of this process's calls; undefined in a terminal. */
  readonly counters?: Readonly<Record<string, unknown>>;
}
