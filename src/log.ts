import { destination, pino } from 'pino';
import type { Logger } from 'pino';

/** What a module may do with the log. It goes to standard error: standard output is the protocol's. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/** Creates the log, synchronous so that the last line before an exit isn't lost. */
export function createLog(level: string): Log {
  return pino({ level, base: { name: 'dstack-mcp' } }, destination({ dest: 2, sync: true }));
}
