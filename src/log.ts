import { destination, pino } from 'pino';
import type { Logger } from 'pino';
import { currentCall } from './current-call.ts';

/** What a module may do with the log. It goes to standard error: standard output is the protocol's. */
export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error'>;

/**
 * Creates the log, synchronous so that the last line before an exit isn't lost. Each line that a call leads to has the call's id,
 * whichever part writes it: `call` while it is under way, `startedBy` where something that it started says so later.
 */
export function createLog(level: string): Log {
  return pino({ level, base: { name: 'dstack-mcp' }, mixin: ofCall }, destination({ dest: 2, sync: true }));
}

function ofCall(): Record<string, string> {
  const call = currentCall();
  if (call === undefined) return {};
  return call.isOver ? { startedBy: call.id } : { call: call.id };
}
