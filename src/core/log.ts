import type { Logger } from 'pino';

/** What a module may do with the log. It goes to standard error: standard output is the protocol's. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;
