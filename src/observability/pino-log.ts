import { destination, pino } from 'pino';
import type { Log } from '../core/log.ts';

/** Creates a log that pino writes. It is synchronous so that the last line before an exit isn't lost. */
export function createPinoLog(level: string): Log {
  return pino({ level, base: { name: 'dstack-mcp' } }, destination({ dest: 2, sync: true }));
}
