import { beginCall } from './call-record.ts';
import type { CallRecord, CallStart, OngoingCall } from './call-record.ts';
import { runInCall } from './current-call.ts';
import type { Log } from '../core/log.ts';

/** Follows every call of this process: gives it its id, and tells what came of it when it is over. */
export interface Calls {
  follow<T>(start: CallStart, work: (call: OngoingCall) => Promise<T>): Promise<T>;
}

/** Creates what follows calls. Each is told of in one line of the log, and to whoever else counts or shows it; none of them may throw. */
export function createCalls(log: Log, tell: readonly ((record: CallRecord) => void)[]): Calls {
  let last = 0;
  return {
    async follow(start, work) {
      last += 1;
      const call = beginCall(String(last), start);
      try {
        return await runInCall(call, () => work(call));
      } finally {
        const record = call.end();
        log.info({ call: call.id, ...toLine(record) }, 'call');
        for (const one of tell) one(record);
      }
    },
  };
}

/** The fields of a call's line, times in milliseconds. */
function toLine({ tool, request, outcome, code, durationMs, stepsMs, commands }: CallRecord): Record<string, unknown> {
  const ranAs = (how: 'warm' | 'plain'): number => commands.filter(({ ran }) => ran === how).length;
  return {
    tool,
    ...(request === undefined ? {} : { request }),
    outcome,
    ...(code === undefined ? {} : { code }),
    durationMs: Math.round(durationMs),
    stepsMs: Object.fromEntries(Object.entries(stepsMs).map(([step, ms]) => [step, Math.round(ms)])),
    commands: { warm: ranAs('warm'), plain: ranAs('plain') },
  };
}
