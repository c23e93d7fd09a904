import { ToolError } from '../../core/errors.ts';
import { auditEntry } from '../audit/audit-entry.ts';
import type { AuditEntry, AuditSink } from '../audit/audit-entry.ts';
import type { ConsentLevel } from '../../core/change.ts';
import type { TokenEntry } from './token-store.ts';

type What = Pick<AuditEntry, 'level' | 'outcome' | 'why' | 'durationMs'>;

/** The lines of the audit log about the changes that tokens stand for. */
export interface ChangeJournal {
  /** Notes once per change that it was asked for. @throws ToolError where the line can't be written: nothing is asked then. */
  asked(entry: TokenEntry<unknown>): void;
  /** @throws ToolError where the line can't be written: the change must not be made then. */
  approved(entry: TokenEntry<unknown>, level: ConsentLevel): void;
  refused(entry: TokenEntry<unknown>, error: unknown, level?: ConsentLevel): void;
  /** False where the line couldn't be written: the change is made by then. */
  done(entry: TokenEntry<unknown>, what: What): boolean;
}

/** Keeps the journal of a gate. */
export function createChangeJournal(audit: AuditSink): ChangeJournal {
  const put = (entry: TokenEntry<unknown>, what: What & Pick<AuditEntry, 'event'>): void =>
    audit.write(auditEntry(entry.id, entry.change, what));
  const tryPut = (...line: Parameters<typeof put>): boolean => {
    try {
      put(...line);
      return true;
    } catch {
      return false;
    }
  };
  return {
    asked(entry) {
      if (!entry.asked) put(entry, { event: 'asked' });
      entry.asked = true;
    },
    approved: (entry, level) => put(entry, { event: 'approved', level }),
    // A refusal whose line can't be written is still a refusal: nothing is changed either way.
    refused(entry, error, level) {
      // A click may be the first that is heard of a change.
      if (!entry.asked) entry.asked = tryPut(entry, { event: 'asked' });
      const why = error instanceof ToolError ? `${error.code}: ${error.message}` : String(error);
      tryPut(entry, { event: 'refused', level, why });
    },
    done: (entry, what) => tryPut(entry, { event: 'done', ...what }),
  };
}
