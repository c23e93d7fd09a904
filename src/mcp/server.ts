import { McpServer, createRequestStateCodec } from '@modelcontextprotocol/server';
import type { RequestStateCodec } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { randomBytes } from 'node:crypto';
import { findCardFile } from '../settings/bundled-files.ts';
import type { App } from '../app.ts';
import { INSTRUCTIONS } from './instructions.ts';
import { createListenObserver } from './subscription-listener.ts';
import type { ListenObserver } from './subscription-listener.ts';
import { observeStdio } from './stdio-transport.ts';
import { createNameSource } from './completions.ts';
import type { NameSource } from './completions.ts';
import { runOfUri, uriOfRun } from './resource-definitions.ts';
import { createRunWatch } from './watch-runs.ts';
import type { RunWatch } from './watch-runs.ts';
import { serveCard } from './register-card.ts';
import { servePrompts } from './register-prompts.ts';
import { serveResources, serveSkills, serveSubscriptions } from './register-resources.ts';
import { registerTool } from './register-tools.ts';
import type { QuestionState } from './register-tools.ts';
import { createReadCall, toRunSnapshot } from './read-through-tool.ts';
import type { ReadCall } from './read-through-tool.ts';
import type { AnyTool } from '../tool/tool.ts';
import { VERSION } from '../settings/version.ts';

/** How long a person may think about a question. */
const ANSWER_TTL_SECONDS = 600;

/** Serves MCP over standard input and output until the client is gone or the signal says so. */
export async function serve(engine: App, tools: readonly AnyTool[], signal: AbortSignal): Promise<void> {
  const factory = createServerFactory(engine, tools, signal);
  const transport = observeStdio(factory.observer);
  const handle = serveStdio(factory.create, {
    transport,
    onerror: (error) => engine.log.warn({ err: error }, 'protocol'),
  });
  const why = await Promise.race([
    happens(process.stdin, 'end'),
    happens(process.stdin, 'close'),
    happens(process.stdin, 'error'),
    // A server that hears nothing any more must not stay: its client would wait for ever.
    transport.closed.then(() => 'closed'),
    new Promise<string>((resolve) => {
      if (signal.aborted) resolve('signal');
      else signal.addEventListener('abort', () => resolve('signal'), { once: true });
    }),
  ]);
  engine.log.info({ why }, 'ending');
  factory.close();
  await handle.close().catch((error: unknown) => engine.log.debug({ err: error }, 'close'));
}

const happens = (emitter: NodeJS.EventEmitter, event: string): Promise<string> =>
  new Promise((resolve) => {
    emitter.once(event, () => resolve(event));
  });

/** What makes the server of each connection, over one engine. */
export interface ServerFactory {
  create(this: void): Promise<McpServer>;
  /** To be shown each message of a connection that stays. */
  readonly observer: ListenObserver;
  close(): void;
}

/** Makes the factory of servers: whatever carries the protocol, each of them is this one. */
export function createServerFactory(engine: App, tools: readonly AnyTool[], signal: AbortSignal): ServerFactory {
  const read = createReadCall(engine, tools);
  const names = createNameSource({
    call: (tool, input) => read(tool, input, signal),
    commands: async (parent) => {
      const { catalog } = await engine.cli();
      const page = parent === '' ? await catalog.commands() : (await catalog.page(parent)).help.subcommands;
      return page.map(({ name }) => name);
    },
    log: engine.log,
    now: () => engine.now(),
  });
  // Without it everything else is served: a client is then asked as one that shows no cards.
  const cardFile = engine.settings.card === 'off' ? undefined : findCardFile();
  // One for all: a question may be answered to another server than the one that asked it.
  const states = createRequestStateCodec<QuestionState>({ key: randomBytes(32), ttlSeconds: ANSWER_TTL_SECONDS });
  let current: McpServer | undefined;
  const watch = createRunWatch({
    look: async (name, stop) => toRunSnapshot(await read('get', { name }, stop)),
    onChange: (name) => {
      void current?.server
        .sendResourceUpdated({ uri: uriOfRun(name) })
        .catch((error: unknown) => engine.log.debug({ err: error }, 'update'));
    },
    log: engine.log,
  });
  const observer = createListenObserver((uri) => {
    const run = runOfUri(uri);
    return run === undefined ? undefined : watch.watch(run);
  });
  const create = async (): Promise<McpServer> => {
    current = await createServer({ engine, tools, names, read, watch, cardFile, states });
    return current;
  };
  return {
    create,
    observer,
    close() {
      observer.close();
      watch.close();
    },
  };
}

interface Parts {
  readonly engine: App;
  readonly tools: readonly AnyTool[];
  readonly names: NameSource;
  readonly read: ReadCall;
  readonly watch: RunWatch;
  readonly cardFile: string | undefined;
  readonly states: RequestStateCodec<QuestionState>;
}

/** Makes the server of one connection. The SDK calls it once per client; both protocol eras are served by the same one. */
async function createServer({ engine, tools, names, read, watch, cardFile, states }: Parts): Promise<McpServer> {
  const server = new McpServer(
    { name: 'dstack-mcp', title: 'dstack', version: VERSION },
    {
      instructions: INSTRUCTIONS,
      capabilities: {
        tools: { listChanged: false },
        resources: { listChanged: false, subscribe: true },
        prompts: { listChanged: false },
      },
      requestState: { verify: (state, context) => states.verify(state, context) },
    },
  );
  const parts = { engine, server, states, cardIsServed: cardFile !== undefined };
  for (const tool of tools) registerTool(tool, parts);
  serveResources(server, names, read);
  if (cardFile !== undefined) serveCard(server, cardFile);
  servePrompts(server, names);
  const endSubscriptions = serveSubscriptions(server, watch);
  server.server.onclose = endSubscriptions;
  await serveSkills(server, engine.log);
  return server;
}
