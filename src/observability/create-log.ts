import { currentCall } from './track-calls.ts';
import { LOG_LEVELS } from '../core/log.ts';
import type { Log } from '../core/log.ts';

/**
 * Creates the log. Its writer is loaded with the first line: most servers never write one. Every line written on behalf of a call has
 * the call's id: as `call` during the call, as `startedBy` after it.
 */
export function createLog(level: string): Log {
  let loaded: Promise<Log> | undefined;
  const load = (): Promise<Log> => {
    loaded ??= import('./pino-log.ts').then(({ createPinoLog }) => createPinoLog(level));
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
