import type { ConsentLevel, PendingChange } from '../../core/change.ts';
import { ToolError } from '../../core/errors.ts';
import { auditEntry } from '../audit/audit-log.ts';
import type { AuditEntry, AuditSink } from '../audit/audit-log.ts';
import { closeEntry } from './token-store.ts';
import type { TokenEntry } from './token-store.ts';

/** Returns the changes that a token stands for, and their ids in the audit log: `id.1`, `id.2` if there are several. */
export const partsOf = ({
  id,
  change,
}: Pick<TokenEntry<unknown>, 'id' | 'change'>): readonly { readonly id: string; readonly change: PendingChange }[] =>
  change.parts?.map((part, index) => ({ id: `${id}.${index + 1}`, change: part })) ?? [{ id, change }];

type Details = Pick<AuditEntry, 'level' | 'outcome' | 'why' | 'durationMs'>;

/** Writes the audit lines about the changes that tokens stand for. */
export class ChangeJournal {
  readonly #audit: AuditSink;

  constructor(audit: AuditSink) {
    this.#audit = audit;
  }

  /** Records once per change that it was requested. @throws ToolError if the line can't be written: nobody is asked then. */
  asked(entry: TokenEntry<unknown>): void {
    if (!entry.asked) this.#write(entry, { event: 'asked' });
    entry.asked = true;
  }

  /** @throws ToolError if the line can't be written: the change must not be made then. */
  approved(entry: TokenEntry<unknown>, level: ConsentLevel): void {
    this.#write(entry, { event: 'approved', level });
  }

  /** Records a refusal. It stays a refusal if the line can't be written: nothing is changed either way. */
  refused(entry: TokenEntry<unknown>, error: unknown, level?: ConsentLevel): void {
    // A click may be the first event of a change.
    if (!entry.asked) entry.asked = this.#tryWrite(entry, { event: 'asked' });
    const why = error instanceof ToolError ? `${error.code}: ${error.message}` : String(error);
    this.#tryWrite(entry, { event: 'refused', level, why });
  }

  /** Ends a token for good, records that, and returns the error for throwing. */
  close(entry: TokenEntry<unknown>, error: ToolError): ToolError {
    closeEntry(entry, error);
    this.refused(entry, error);
    return error;
  }

  /** Returns false if the line couldn't be written: the change is made by then. */
  done(entry: TokenEntry<unknown>, details: Details): boolean {
    return this.#tryWrite(entry, { event: 'done', ...details });
  }

  #write(entry: TokenEntry<unknown>, details: Details & Pick<AuditEntry, 'event'>): void {
    for (const { id, change } of partsOf(entry)) this.#audit.write(auditEntry(id, change, details));
  }

  #tryWrite(entry: TokenEntry<unknown>, details: Details & Pick<AuditEntry, 'event'>): boolean {
    try {
      this.#write(entry, details);
      return true;
    } catch {
      return false;
    }
  }
}
