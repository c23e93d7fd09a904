import path from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import { installedPython } from './installed-dstack.ts';
import { workerFiles } from './warm-fixtures.ts';

const PRELUDE = `import json, os, sys\nsys.path.insert(0, ${JSON.stringify(workerFiles)})`;

const toEnvironment = (home: string): Record<string, string | undefined> => ({
  PATH: process.env['PATH'],
  HOME: home,
  LANG: 'C.UTF-8',
});

/** Runs Python code that can import the worker's modules, and returns the JSON that it prints. */
export async function runPython(
  code: string,
  options: { cwd?: string; env?: Record<string, string> } = {},
): Promise<unknown> {
  const { cwd = '/', env = {} } = options;
  const { stdout } = await execa(installedPython, ['-B', '-c', `${PRELUDE}\n${code}`], {
    cwd,
    env: { ...toEnvironment(path.resolve(cwd)), ...env },
    extendEnv: false,
    timeout: 60_000,
  });
  return JSON.parse(stdout);
}

/** Runs each line of standard input in a separate child process, and prints what that prints as one line. */
const FORK = `
for line in sys.stdin:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.dup2(writer, 1)
        exec(json.loads(line), {"json": json, "sys": sys})
        sys.stdout.flush()
        os._exit(0)
    os.close(writer)
    with open(reader) as printed:
        print(json.dumps(printed.read()), flush=True)
    os.wait()
`;

/** Returns a function like `runPython`. Its calls share the time that importing these modules takes, one after the other. */
export function openPython(modules: string, atEnd: (end: () => void) => void): (code: string) => Promise<unknown> {
  const program = `${PRELUDE}\nimport ${modules}\n${FORK}`;
  const child = execa(installedPython, ['-B', '-c', program], {
    cwd: '/',
    env: toEnvironment('/'),
    extendEnv: false,
    buffer: false,
    stderr: 'inherit',
  });
  atEnd(() => void child.kill());
  child.catch(() => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return async (code) => {
    child.stdin.write(`${JSON.stringify(code)}\n`);
    const { value } = await lines.next();
    return JSON.parse(JSON.parse(String(value)));
  };
}
