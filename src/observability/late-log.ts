import { LOG_LEVELS } from '../core/log.ts';
import type { Log } from '../core/log.ts';

/** Creates a log that is loaded with its first line: most servers that clients start never write one. */
export function createLateLog(level: string): Log {
  let loaded: Promise<Log> | undefined;
  const load = (): Promise<Log> => {
    loaded ??= import('./create-log.ts').then(({ createLog }) => createLog(level));
    return loaded;
  };
  const names: readonly string[] = ['trace', ...LOG_LEVELS, 'silent'];
  const write =
    (name: keyof Log) =>
    (fields: object, text: string): void => {
      if (names.indexOf(name) >= names.indexOf(level)) void load().then((log) => log[name](fields, text));
    };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') };
}
