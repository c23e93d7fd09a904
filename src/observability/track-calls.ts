import { AsyncLocalStorage } from 'node:async_hooks';
import type { Log } from '../core/log.ts';
import { beginCall, countRan } from './call-record.ts';
import type { CallRecord, CallStart, OngoingCall } from './call-record.ts';

/** Tracks every call of this process: assigns its id and reports its record once it is over. */
export interface Calls {
  follow<T>(start: CallStart, work: (call: OngoingCall) => Promise<T>): Promise<T>;
}

/** Creates the call tracker. It writes one log line per call, then calls each observer; observers must not throw. */
export function createCalls(log: Log, observers: readonly ((record: CallRecord) => void)[]): Calls {
  let last = 0;
  return {
    async follow(start, work) {
      last += 1;
      const call = beginCall(String(last), start);
      try {
        return await calls.run(call, () => work(call));
      } finally {
        const record = call.end();
        log.info({ call: call.id, ...toLine(record) }, 'call');
        for (const observe of observers) observe(record);
      }
    },
  };
}

const calls = new AsyncLocalStorage<OngoingCall>();

/** Returns the call that the running code belongs to, even one that is over but left work running. */
export const currentCall = (): OngoingCall | undefined => calls.getStore();

/** Returns the fields of a call's log line, times in milliseconds. */
function toLine({ tool, request, outcome, code, durationMs, stepsMs, commands }: CallRecord): Record<string, unknown> {
  return {
    tool,
    ...(request === undefined ? {} : { request }),
    outcome,
    ...(code === undefined ? {} : { code }),
    durationMs: Math.round(durationMs),
    stepsMs: Object.fromEntries(Object.entries(stepsMs).map(([step, ms]) => [step, Math.round(ms)])),
    commands: countRan(commands),
  };
}
