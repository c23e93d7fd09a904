import path from 'node:path';
import { createInterface } from 'node:readline';
import { execa } from 'execa';
import type { Introspection, Verdict } from '../../src/dstack/warm/introspection.ts';
import { installedPython } from './installed-dstack.ts';

/** Runs the function of a separate validation process for each line of standard input. */
const LOOP = `
import json, sys
sys.path.insert(0, sys.argv[1])
import parsed_configuration
for line in sys.stdin.buffer:
    print(json.dumps(parsed_configuration.validate(json.loads(line))), flush=True)
`;

/** A process of dstack's interpreter that validates many configurations in sequence. */
export interface PlainValidator {
  readonly validate: Introspection['validate'];
  close(): Promise<void>;
}

/** Starts the process. It shares only the request with the worker: not its fork, preloading or channel. */
export function openPlainValidator(env: Readonly<Record<string, string>>): PlainValidator {
  const worker = path.resolve('worker');
  const child = execa(installedPython, ['-B', '-c', LOOP, worker], { env, extendEnv: false, reject: false });
  const answers = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  let last: Promise<unknown> = Promise.resolve();
  return {
    validate(question) {
      const answer = last.then(async (): Promise<Verdict> => {
        child.stdin.write(`${JSON.stringify(question)}\n`);
        const { value, done } = await answers.next();
        if (done === true) throw new Error('the plain process has ended');
        return JSON.parse(value);
      });
      last = answer.catch(() => undefined);
      return answer;
    },
    async close() {
      child.stdin.end();
      await child;
    },
  };
}
