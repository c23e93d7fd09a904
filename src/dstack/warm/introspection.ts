import path from 'node:path';
import { execa } from 'execa';
import * as z from 'zod';
import type { Log } from '../../core/log.ts';
import type { Executable } from '../run/runner.ts';

const helpSchema = z.object({ version: z.string(), help: z.record(z.string(), z.string()) });
const configurationSchemas = z.object({
  version: z.string(),
  configuration: z.record(z.string(), z.unknown()),
  profiles: z.record(z.string(), z.unknown()),
});
const verdictSchema = z.object({
  verdict: z.enum(['valid', 'invalid', 'unreadable']),
  /** dstack's own words. */
  text: z.string(),
  /** Its complaints one by one, where it made them so. The path is the one within the configuration, its type first. */
  problems: z.array(z.object({ path: z.array(z.string()), message: z.string(), kind: z.string() })),
});

/** The help of every command by its words (`''`, `apply`, `apply -h task`, `run get`, ...), byte for byte as the CLI prints it. */
export type HelpTexts = z.output<typeof helpSchema>;
export type ConfigurationSchemas = z.output<typeof configurationSchemas>;
export type Verdict = z.output<typeof verdictSchema>;

/** What dstack's own interpreter tells. Undefined where dstack isn't a Python script, or doesn't answer. */
export interface Introspection {
  helpTexts(): Promise<HelpTexts | undefined>;
  /** JSON schemas of configurations and of profiles, without defaults that come from the environment. */
  schemas(): Promise<ConfigurationSchemas | undefined>;
  /** The verdict of dstack's own parser. */
  validate(question: {
    readonly kind: 'configuration' | 'profiles';
    readonly text: string;
  }): Promise<Verdict | undefined>;
}

export interface IntrospectionOptions {
  /** Asks the worker; undefined where that isn't possible. */
  readonly askWarm: (task: string, input: Uint8Array) => Promise<string | undefined>;
  readonly executable: Executable;
  readonly workerFiles: string;
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly timeoutMs: number;
}

/** Creates the questions to dstack's interpreter: through the worker where it runs, else each in a process of its own. */
export function createIntrospection({
  askWarm,
  executable,
  workerFiles,
  env,
  log,
  timeoutMs,
}: IntrospectionOptions): Introspection {
  const runScript = (interpreter: string, task: string, input: Uint8Array) =>
    execa(interpreter, ['-B', path.join(workerFiles, 'introspect.py'), executable.path, task], {
      env: { ...env },
      extendEnv: false,
      input,
      reject: false,
      timeout: timeoutMs,
      forceKillAfterDelay: 1000,
    });
  const askPlain = async (task: string, input: Uint8Array): Promise<string | undefined> => {
    const { interpreter } = executable;
    if (interpreter === undefined) return undefined;
    let result = await runScript(interpreter, task, input);
    // Somebody else ended it, as a system does that is short of memory. A question changes nothing: it is asked once more.
    if (result.signal !== undefined && !result.timedOut) result = await runScript(interpreter, task, input);
    if (result.exitCode === 0) return result.stdout;
    log.warn({ task, stderr: result.stderr.slice(-1000) }, "dstack's interpreter gave no answer");
    return undefined;
  };
  const ask = async <S extends z.ZodType>(
    task: string,
    schema: S,
    question: unknown = null,
  ): Promise<z.output<S> | undefined> => {
    const input = Buffer.from(JSON.stringify(question));
    const answer = (await askWarm(task, input)) ?? (await askPlain(task, input));
    if (answer === undefined) return undefined;
    const parsed = schema.safeParse(JSON.parse(answer));
    if (!parsed.success) log.warn({ task, err: parsed.error }, "dstack's interpreter gave an unknown answer");
    return parsed.data;
  };
  return {
    helpTexts: () => ask('catalog', helpSchema),
    schemas: () => ask('schema', configurationSchemas),
    validate: (question) => ask('validate', verdictSchema, question),
  };
}
