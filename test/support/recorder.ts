import { chmod, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';

/** A dstack executable that writes down what it is called with, and then is the real one. */
export interface Recorder {
  readonly cli: string;
  /** The argv of every call so far, help pages and the version left out. */
  calls(): Promise<readonly (readonly string[])[]>;
  /** How many were at work at the same time, at most; help pages and the version included. */
  mostAtOnce(): Promise<number>;
}

const noted = z.strictObject({ event: z.enum(['start', 'end']), argv: z.array(z.string()) });
type Noted = z.output<typeof noted>;

/** Puts a recorder in front of a dstack executable. For servers without the warm worker, which would start it once only. */
export async function createRecorder(folder: string, real: string): Promise<Recorder> {
  const log = path.join(folder, 'calls.jsonl');
  const cli = path.join(folder, 'dstack');
  const python = path.join(path.dirname(real), 'python');
  // Goes on in the same process, as an entry script does, so that a file that is answered from memory stays so.
  const script = [
    `#!${python}`,
    'import atexit, json, sys',
    'def note(event):',
    `    with open(${JSON.stringify(log)}, "a") as log:`,
    '        log.write(json.dumps({"event": event, "argv": sys.argv[1:]}) + "\\n")',
    // Without arguments it is only looked at: its parser is read for what it documents.
    'if sys.argv[1:]:',
    '    note("start")',
    '    atexit.register(note, "end")',
    'from dstack._internal.cli.main import main',
    'sys.exit(main())',
    '',
  ];
  await rm(log, { force: true });
  // A second recorder in the same folder is the same executable: what it documents needn't be read anew.
  if ((await readFile(cli, 'utf8').catch(() => '')) !== script.join('\n')) await writeFile(cli, script.join('\n'));
  await chmod(cli, 0o755);
  const read = async (): Promise<readonly Noted[]> => {
    const text = await readFile(log, 'utf8').catch(() => '');
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => noted.parse(JSON.parse(line)));
  };
  return {
    cli,
    async calls() {
      const started = (await read()).filter(({ event }) => event === 'start').map(({ argv }) => argv);
      return started.filter((argv) => !['--help', '-h', '--version'].some((word) => argv.includes(word)));
    },
    async mostAtOnce() {
      let now = 0;
      return Math.max(0, ...(await read()).map(({ event }) => (now += event === 'start' ? 1 : -1)));
    },
  };
}
