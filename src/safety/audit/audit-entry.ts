import type { PendingChange, ConsentLevel } from '../../core/change.ts';

/** One line of the audit log. `id` is the same for all lines of one change. */
export interface AuditEntry {
  readonly id: string;
  readonly event: 'asked' | 'refused' | 'approved' | 'done';
  readonly tool: string;
  /** The call that it happened in, as the log of this process (`pid`) names it. */
  readonly call?: string | undefined;
  readonly operation: string;
  readonly resource: { readonly kind: string; readonly name?: string | undefined };
  readonly project: string;
  readonly server: string;
  readonly argv: readonly string[];
  /** SHA-256 of the files that decide what happens. */
  readonly files: Readonly<Record<string, string>>;
  readonly pricePerHour: number | null;
  readonly totalPrice?: number | undefined;
  readonly level?: ConsentLevel | undefined;
  readonly outcome?: string | undefined;
  readonly why?: string | undefined;
  readonly durationMs?: number | undefined;
}

/** Where the lines of the audit log go. */
export interface AuditSink {
  /** @throws ToolError `audit-unavailable` when the line can't be written. */
  write(entry: AuditEntry): void;
}

/** The line for something that happened to a change. */
export function auditEntry(
  id: string,
  change: PendingChange,
  what: Pick<AuditEntry, 'event' | 'level' | 'outcome' | 'why' | 'durationMs'>,
): AuditEntry {
  const { binding } = change;
  return {
    id,
    ...what,
    tool: binding.tool,
    operation: change.operation,
    resource: binding.resource,
    project: binding.project,
    server: binding.server,
    argv: change.argv,
    files: binding.files,
    pricePerHour: binding.pricePerHour,
    totalPrice: change.summary.totalPrice,
  };
}
