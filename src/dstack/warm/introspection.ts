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
  /** dstack's own message. */
  text: z.string(),
  /** Its individual errors, if there are any. Paths are within the configuration and start with its type. */
  problems: z.array(z.object({ path: z.array(z.string()), message: z.string(), kind: z.string() })),
});

const loadedSchema = z.union([z.object({ value: z.unknown() }), z.object({ error: z.string() })]);
const walkedSchema = z.object({ paths: z.array(z.string()) });
const repositorySchema = z.object({
  host: z.string(),
  /** Without user and password. */
  url: z.string(),
  /** The same in each form that dstack may send with a credential. */
  cloneUrls: z.array(z.string()),
  /** The credentials that dstack tries, each with the file that has it and the SHA-256 of its text. */
  credentials: z.array(z.object({ kind: z.enum(['key', 'token']), path: z.string(), sha256: z.string() })),
});
const workTreesSchema = z.object({
  workTrees: z.array(z.object({ branch: z.string(), commit: z.string(), changedBytes: z.number() }).nullable()),
});
const credentialsSchema = z.object({
  repositories: z.array(repositorySchema.nullable()),
  keys: z.array(z.string().nullable()),
});

/** The help of every command (`''`, `apply`, `apply -h task`, `run get`, ...), byte for byte as the CLI prints it. */
export type HelpTexts = z.output<typeof helpSchema>;
export type ConfigurationSchemas = z.output<typeof configurationSchemas>;
export type Verdict = z.output<typeof verdictSchema>;
/** The result of dstack's YAML loader: the value, in which `<type>` stands for what JSON doesn't have, or its error. */
export type LoadedYaml = z.output<typeof loadedSchema>;

/** The answers for repositories (null if dstack rejects the URL) and for SSH keys (the SHA-256 of what is sent; null if it isn't a key). */
export type NamedCredentials = z.output<typeof credentialsSchema>;

/** The answers for local repositories, each null if dstack rejects it. */
export type WorkTrees = z.output<typeof workTreesSchema>['workTrees'];

/** Questions to dstack's own interpreter. All return undefined if dstack isn't a Python script or doesn't answer. */
export interface Introspection {
  helpTexts(): Promise<HelpTexts | undefined>;
  /** Returns the JSON schemas of configurations and profiles, without defaults from the environment. */
  schemas(): Promise<ConfigurationSchemas | undefined>;
  /** Returns the verdict of dstack's own parser. */
  validate(question: {
    readonly kind: 'configuration' | 'profiles';
    readonly text: string;
  }): Promise<Verdict | undefined>;
  /** Returns what dstack's own YAML loader reads from a text. */
  load(text: string): Promise<LoadedYaml | undefined>;
  /** Returns the paths that dstack would send for a folder in `files`, by its own rules of what to ignore: up to `limit`, and one more. */
  walk(question: { readonly root: string; readonly limit: number }): Promise<readonly string[] | undefined>;
  /** Returns the branch, its commit and the size of the uncommitted changes of local repositories, by dstack's own git. */
  workTrees(paths: readonly string[]): Promise<WorkTrees | undefined>;
  /** Returns the credentials that dstack may send for repositories, by URL, and for the keys of SSH fleets, by absolute path. */
  credentials(question: {
    readonly repositories: readonly string[];
    readonly keys: readonly string[];
  }): Promise<NamedCredentials | undefined>;
}

export interface IntrospectionOptions {
  /** Asks the worker; returns undefined if that isn't possible. */
  readonly askWarm: (task: string, input: Uint8Array) => Promise<string | undefined>;
  /** Returns the worker that is asked now, which is another one after an upgrade; undefined if there is none. */
  readonly currentWorker: () => Promise<object | undefined>;
  readonly executable: Executable;
  readonly workerFiles: string;
  readonly env: Readonly<Record<string, string>>;
  readonly log: Log;
  readonly timeoutMs: number;
  /** Ends what was started, and starts nothing anymore. */
  readonly closing: AbortSignal;
}

/** Creates the introspection. It asks the worker if there is one, and otherwise starts a process for each question. */
export function createIntrospection({
  askWarm,
  currentWorker,
  executable,
  workerFiles,
  env,
  log,
  timeoutMs,
  closing,
}: IntrospectionOptions): Introspection {
  const runScript = (interpreter: string, task: string, input: Uint8Array) =>
    execa(interpreter, ['-B', path.join(workerFiles, 'introspect.py'), executable.path, task], {
      env: { ...env },
      extendEnv: false,
      input,
      reject: false,
      timeout: timeoutMs,
      forceKillAfterDelay: 1000,
      cancelSignal: closing,
    });
  const askPlain = async (task: string, input: Uint8Array): Promise<string | undefined> => {
    const { interpreter } = executable;
    if (interpreter === undefined || closing.aborted) return undefined;
    let result = await runScript(interpreter, task, input);
    // Ended from outside, as by a system that is out of memory. A question changes nothing, so it is asked once more.
    if (result.signal !== undefined && !result.timedOut && !result.isCanceled)
      result = await runScript(interpreter, task, input);
    if (result.exitCode === 0) return result.stdout;
    log.warn({ task, stderr: result.stderr.slice(-1000) }, "dstack's interpreter didn't answer");
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
    if (!parsed.success) log.warn({ task, err: parsed.error }, "dstack's interpreter returned an unexpected answer");
    return parsed.data;
  };
  /** The text that was read last: a plan and the redemption of its token read the same one. Another worker may read it differently. */
  let last: { readonly text: string; readonly loaded: LoadedYaml; readonly worker: object | undefined } | undefined;
  const load = async (text: string): Promise<LoadedYaml | undefined> => {
    const worker = await currentWorker();
    if (last?.text === text && last.worker === worker) return last.loaded;
    const loaded = await ask('load', loadedSchema, text);
    last = loaded !== undefined && 'value' in loaded ? { text, loaded, worker } : undefined;
    return loaded;
  };
  return {
    helpTexts: () => ask('catalog', helpSchema),
    schemas: () => ask('schema', configurationSchemas),
    validate: (question) => ask('validate', verdictSchema, question),
    load,
    walk: async (question) => (await ask('walk', walkedSchema, question))?.paths,
    workTrees: async (paths) => (await ask('work-trees', workTreesSchema, paths))?.workTrees,
    credentials: (question) => ask('credentials', credentialsSchema, question),
  };
}
