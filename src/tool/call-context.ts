import type { CallStart } from '../observability/call-record.ts';
import type { Answer } from '../core/report.ts';

/** What the client gave with a call, beside its arguments. */
export interface CallContext {
  /** What the client's own records know the call by. */
  readonly origin?: Omit<CallStart, 'tool'>;
  readonly signal: AbortSignal;
  /** Present when the client asked for progress. */
  readonly progress?: (message: string) => void;
  /** The client can show a form to a person. */
  readonly canAskPerson: boolean;
  /** The client shows the card, with buttons that a person can click. */
  readonly canShowCard: boolean;
  /** The person's answer, when this call is the second round of a question. */
  readonly answer?: Answer;
}
