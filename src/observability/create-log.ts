import { destination, pino } from 'pino';
import { currentCall } from './current-call.ts';
import type { Log } from '../core/log.ts';

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
