// What runs the calls: a separate bundle, which the server loads with the first call.
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
import { runDoctor } from './doctor-command.ts';
import type { DoctorOptions } from './doctor-command.ts';

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
