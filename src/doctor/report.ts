export interface DoctorCheck {
  readonly name: string;
  readonly state: 'ok' | 'warning' | 'error';
  readonly found: string;
  readonly fix?: string;
  /** The kind of failure, if dstack failed. */
  readonly code?: string;
  /** More than most readers need. */
  readonly details?: string;
}

export interface DoctorReport {
  readonly checks: readonly DoctorCheck[];
  /** What the calls of this process came to; none where it serves no client. */
  readonly counters?: Readonly<Record<string, unknown>>;
}
