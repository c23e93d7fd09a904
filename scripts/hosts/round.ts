import { isRecord } from '../../src/core/values.ts';
import type { Script } from './model/fake-model.ts';
import type { GivenTool, ModelRequest, Move } from './model/model-api.ts';

/** A call of the scripted model, with its result as the model reads it. */
export interface PlayedCall {
  readonly tool: string;
  readonly text: string;
}

/** The tools and results that a host gave the scripted model. */
export interface Played {
  /** The names of the tools in the requests, without the host's own tools. */
  readonly tools: Set<string>;
  calls: readonly PlayedCall[];
}

/** A call that the scripted model wants to make, by the server's name of the tool. */
export interface Wanted {
  readonly tool: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** The number of lines that the job prints. Together they stay below the server's limit for a result. */
export const LOG_LINES = 100;
const MAX_LOG_CALLS = 15;

const LAST_WORDS = 'The round is finished.';
/** The end of a round in what a host prints. */
export const FINISHED = new RegExp(LAST_WORDS);

/** Returns what is printed as line n of the job. */
export const logLine = (n: number | string): string => `line ${n} of ${LOG_LINES}: the quick brown fox`;

/** Plays the life of a run: plan, apply, get, logs, stop. Ends early if the change is refused. */
export function nextOfRound(run: string): (calls: readonly PlayedCall[]) => Wanted | undefined {
  return (calls) => {
    const last = calls.at(-1);
    if (last === undefined) return { tool: 'plan', args: { file: `${run}.dstack.yml` } };
    const count = calls.filter(({ tool }) => tool === last.tool).length;
    const token = tokenIn(last.text) ?? 'no-token-arrived';
    switch (last.tool) {
      case 'plan':
        return { tool: 'apply', args: { token } };
      case 'apply':
        return isDone(last.text) && count === 1
          ? { tool: 'get', args: { name: [run], wait_for: 'running' } }
          : undefined;
      case 'get':
        return { tool: 'logs', args: { run: [run] } };
      case 'logs':
        // The log arrives shortly after it was printed. Another argument each time, since some hosts refuse repetitions.
        return last.text.includes(logLine(LOG_LINES)) || count >= MAX_LOG_CALLS
          ? { tool: 'stop', args: { run: [run] } }
          : { tool: 'logs', args: { run: [run], lines: 200 + count } };
      case 'stop':
        return { tool: 'apply', args: { token } };
      default:
        return undefined;
    }
  };
}

/** Returns the confirmation token in a result. */
export const tokenIn = (text: string): string | undefined => /token[\\"`*]*:[\\"`* ]*([\w.-]{12,})/i.exec(text)?.[1];

/** Returns whether a result says that the change was made. */
export const isDone = (text: string): boolean => /outcome[\\"`*]*: *[\\"`]*done\b/.test(text);

const OUR_CALL = /^call_dstack_\d+_(\w+)$/;

/**
 * Creates the script of a model that makes calls until there is none left, and then says so. It never answers the request after a call
 * with the name `hangsAfter`.
 */
export function createScript(
  next: (calls: readonly PlayedCall[]) => Wanted | undefined,
  { played, hangsAfter }: { played: Played; hangsAfter?: string },
): Script {
  return (request) => {
    for (const { name } of ownTools(request)) played.tools.add(name);
    // Titles and summaries are asked for without the tools.
    if (request.tools.length === 0) return { kind: 'say', text: 'A GPU run' };
    const calls = request.results.flatMap(({ id, text }) => {
      const tool = OUR_CALL.exec(id ?? '')?.[1];
      return tool === undefined ? [] : [{ tool, text }];
    });
    const made = calls.filter(({ tool }) => tool !== 'search');
    if (made.length >= played.calls.length) played.calls = made;
    if (hangsAfter !== undefined && made.at(-1)?.tool === hangsAfter) return undefined;
    const wanted = next(made);
    if (wanted === undefined) return { kind: 'say', text: LAST_WORDS };
    return makeCall(request, wanted, calls);
  };
}

function ownTools({ tools }: ModelRequest): readonly GivenTool[] {
  return tools.filter(({ name, namespace }) => /dstack/.test(`${namespace ?? ''}${name}`));
}

/** Finds a tool by the server's name; hosts put their own prefix before it. */
function findTool(request: ModelRequest, name: string): GivenTool | undefined {
  return ownTools(request).find(
    (tool) => tool.name === name || new RegExp(`dstack(__|_|-|\\.)${name}$`).test(tool.name),
  );
}

/** Makes a call as the host expects it: directly, or through its tools for many tools. */
function makeCall(request: ModelRequest, { tool: name, args }: Wanted, calls: readonly PlayedCall[]): Move {
  const call = (tool: GivenTool, input: unknown, label = name): Move => ({
    kind: 'call',
    id: `call_dstack_${calls.length}_${label}`,
    tool: { name: tool.name, ...(tool.namespace === undefined ? {} : { namespace: tool.namespace }) },
    args: input,
  });
  const direct = findTool(request, name);
  if (direct !== undefined) return call(direct, withHostFields(direct, args));
  const own = (wanted: string): GivenTool | undefined => request.tools.find((one) => one.name === wanted);
  const hasSearched = calls.some(({ tool }) => tool === 'search');
  const search = own('ToolSearch') ?? own('tool_search');
  if (search !== undefined && !hasSearched) return call(search, { query: SELECT_ALL, max_results: 10 }, 'search');
  const indirect = own('tool_call');
  if (indirect !== undefined) return call(indirect, { name: `mcp__dstack__${name}`, arguments: args });
  const code = own('run_typescript');
  if (code !== undefined) return call(code, { code: asCode(name, args) });
  return { kind: 'say', text: `There is no tool ${name}.` };
}

const SELECT_ALL = `select:${['plan', 'apply', 'get', 'logs', 'stop'].map((name) => `mcp__dstack__${name}`).join(',')}`;

const asCode = (name: string, args: unknown): string =>
  `async function main() { return await tools.mcp_dstack.${name}(${JSON.stringify(args)}); }`;

/** Fills the fields that OpenHands adds to every tool. */
function withHostFields({ schema }: GivenTool, args: Readonly<Record<string, unknown>>): object {
  const properties = isRecord(schema) && isRecord(schema['properties']) ? schema['properties'] : {};
  const added = { security_risk: 'LOW', summary: 'Manage a run' };
  return { ...args, ...Object.fromEntries(Object.entries(added).filter(([name]) => name in properties)) };
}
