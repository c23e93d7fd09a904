import { currentCall } from './calls.ts';
import { LOG_LEVELS } from '../core/log.ts';
import type { Log } from '../core/log.ts';

/**
 * Creates the log. Its writer is loaded with the first line: most servers never write one. Every line written on behalf of a call has
 * the call's id: as `call` during the call, as `startedBy` after it.
 */
export function createLog(level: string): Log {
  let loaded: Promise<Log> | undefined;
  const load = (): Promise<Log> => {
    // Synchronous, so that the last line before an exit isn't lost.
    loaded ??= import('pino').then(({ destination, pino }) =>
      pino({ level, base: { name: 'dstack-mcp' } }, destination({ dest: 2, sync: true })),
    );
    return loaded;
  };
  const names: readonly string[] = ['trace', ...LOG_LEVELS, 'silent'];
  const write =
    (name: keyof Log) =>
    (fields: object, text: string): void => {
      if (names.indexOf(name) < names.indexOf(level)) return;
      const line = { ...ofCall(), ...fields };
      void load().then((log) => log[name](line, text));
    };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}

function ofCall(): Record<string, string> {
  const call = currentCall();
  if (call === undefined) return {};
  return call.isOver ? { startedBy: call.id } : { call: call.id };
}
