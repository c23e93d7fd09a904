import { destination, pino } from 'pino';
import { currentCall } from './track-calls.ts';
import type { Log } from '../core/log.ts';

/**
 * Creates the log. It is synchronous so that the last line before an exit isn't lost. Every line written on behalf of a call has the
 * call's id: as `call` during the call, as `startedBy` after it.
 */
export function createLog(level: string): Log {
  return pino({ level, base: { name: 'dstack-mcp' }, mixin: ofCall }, destination({ dest: 2, sync: true }));
}

function ofCall(): Record<string, string> {
  const call = currentCall();
  if (call === undefined) return {};
  return call.isOver ? { startedBy: call.id } : { call: call.id };
}
