import type { Logger } from 'pino';

/** The log, which goes to standard error: standard output is reserved for the protocol. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
