import { createApp } from '../app.ts';
import { withoutProjects } from '../dstack/locate/find-executable.ts';
import { homeFolder } from '../core/paths.ts';
import { createCompletions } from '../mcp/engine.ts';
import type { CallTool, Engine, ReadThroughTool } from '../mcp/engine.ts';
import { createLog } from '../observability/create-log.ts';
import type { Settings } from '../settings/settings.ts';
import { callTool } from '../tool/call-tool.ts';
import type { AnyTool } from '../tool/tool.ts';
import { tools as allTools } from '../../tools/index.ts';
import type { App } from '../app.ts';
import { createDeadline } from '../core/waiting.ts';
import { plural } from '../core/values.ts';
import { DstackClient } from '../dstack/client/dstack-client.ts';
import { checkSetup } from '../doctor/doctor.ts';
import { cleanBlock } from '../render/untrusted.ts';
import type { DoctorCheck } from '../doctor/local-checks.ts';

// What runs the calls: a separate bundle, which the server loads with the first call.

export interface EngineOptions {
  readonly settings: Settings;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Defaults to every tool. */
  readonly tools?: readonly AnyTool[];
}

/** An engine, and what ends it. */
export interface OpenEngine extends Engine {
  /** Runs the checks of `doctor` and returns the exit code. */
  doctor(this: void, options: DoctorOptions): Promise<number>;
  close(this: void): Promise<void>;
}

/** Creates the engine of this process. @throws ToolError `policy-broken` */
export function openEngine(settings: Settings): OpenEngine {
  const env = { ...process.env };
  // This process starts ps and ssh by their names, too.
  Object.assign(process.env, withoutProjects(env, { homeDir: homeFolder(env), workspace: settings.workspace }));
  return createEngine({ settings, env });
}

/** Creates an engine: the services, and the tools that use them. @throws ToolError `policy-broken` */
export function createEngine({ settings, env, tools = allTools }: EngineOptions): OpenEngine {
  const log = createLog(settings.logLevel);
  const app = createApp({ settings, env, log });
  const closing = new AbortController();
  const call: CallTool = async (name, raw, context) => {
    const tool = tools.find((one) => one.name === name);
    if (tool === undefined) throw new Error(`There is no tool ${name}.`);
    return callTool(app, tool, raw, context);
  };
  const readers = new Set(tools.filter(({ effect }) => effect === 'read').map(({ name }) => name));
  const read: ReadThroughTool = async (name, input, signal) => {
    if (!readers.has(name)) throw new Error(`${name} is not a read-only tool.`);
    const result = await call(name, input, { signal, canAskPerson: false, canShowCard: false });
    if (result.kind === 'question') throw new Error(`${name} asked a question.`);
    return result;
  };
  const completions = createCompletions({
    call: (tool, input) => read(tool, input, closing.signal),
    commands: async (parent) => {
      const { catalog } = await app.cli();
      const page = parent === '' ? await catalog.commands() : (await catalog.page(parent)).help.subcommands;
      return page.map(({ name }) => name);
    },
    log,
    now: () => performance.now(),
  });
  return {
    call,
    read,
    complete: (kind, prefix) => completions.complete(kind, prefix),
    useRoots: app.useRoots,
    warmUp: app.warmUp,
    doctor: (options) => runDoctor(app, options),
    async close() {
      closing.abort();
      await app.close();
    },
  };
}

export interface DoctorOptions {
  readonly json: boolean;
  readonly verbose: boolean;
  readonly print: (text: string) => void;
}

/** Prints the checks of `doctor`. Returns the exit code: 1 if there is an error, otherwise 0. */
async function runDoctor(app: App, { json, verbose, print }: DoctorOptions): Promise<number> {
  const { signal } = new AbortController();
  const deadline = createDeadline({ timeoutMs: app.settings.timeoutMs, signal, progress: undefined });
  const { checks } = await checkSetup({ ...app, dstack: new DstackClient(app, deadline) });
  const shown = checks.map((check) => cleanCheck(check, app));
  print(json ? JSON.stringify({ checks: shown }, null, 2) : renderChecks(shown, verbose));
  return checks.some((check) => check.state === 'error') ? 1 : 0;
}

/** A terminal would act on control characters in an error of the server. */
function cleanCheck(check: DoctorCheck, { filters }: Pick<App, 'filters'>): DoctorCheck {
  const clean = (text: string): string => cleanBlock(filters.redact(text), 20_000);
  const { fix, details } = check;
  return {
    ...check,
    found: clean(check.found),
    ...(fix === undefined ? {} : { fix: clean(fix) }),
    ...(details === undefined ? {} : { details: clean(details) }),
  };
}

const MARKS = { ok: '✓', warning: '!', error: '✗' } as const;

const ADD_PROJECT = 'dstack project add --name <project> --url <server> --token <token>';

/** Fixes for a terminal, by the kind of failure; the check's own fix names this server's tools. */
const TERMINAL_FIXES: Readonly<Record<string, string>> = {
  unauthorized: ADD_PROJECT,
  'no-project': ADD_PROJECT,
  unreachable: `Start the server (dstack server), or set its URL: ${ADD_PROJECT}`,
  'not-dstack': `Set the URL of the server: ${ADD_PROJECT}`,
  'version-mismatch': "Install the server's version of the CLI: uv tool install dstack==<version>",
  'server-error': "See the server's log, then run this again.",
};

/** Renders the checks for a terminal: each problem is followed by its fix, and the last line counts the problems. */
export function renderChecks(checks: readonly DoctorCheck[], verbose: boolean): string {
  const indent = ' '.repeat(15);
  const lines = checks.flatMap(({ name, state, found, fix, code = '', details }) => [
    `${MARKS[state]} ${name.padEnd(12)} ${found}`,
    ...(verbose && details !== undefined ? [`${indent}${details}`] : []),
    ...(state !== 'ok' && fix !== undefined ? [`${indent}Fix: ${TERMINAL_FIXES[code] ?? fix}`] : []),
  ]);
  const count = (state: DoctorCheck['state']): number => checks.filter((check) => check.state === state).length;
  const [errors, warnings] = [count('error'), count('warning')];
  return [...lines, '', `${plural(errors, 'problem')}, ${plural(warnings, 'warning')}.`].join('\n');
}
