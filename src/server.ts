import {
  CLIENT_CAPABILITIES_META_KEY,
  McpServer,
  acceptedContent,
  createRequestStateCodec,
  inputRequired,
  inputResponse,
} from '@modelcontextprotocol/server';
import type {
  CallToolResult,
  InputRequiredResult,
  RequestStateCodec,
  ServerContext,
  StandardSchemaWithJSON,
} from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';
import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { compactSchema } from './compact-schema.ts';
import { callTool } from './call.ts';
import type { CallContext } from './call.ts';
import { CARD_META, describeCardUse } from './card.ts';
import { findCardFile } from './card-file.ts';
import { readAbilities } from './client-abilities.ts';
import type { Engine } from './engine.ts';
import { INSTRUCTIONS } from './instructions.ts';
import { createListenObserver } from './resources/listen-observer.ts';
import { observeStdio } from './observe-stdio.ts';
import { createNameSource } from './resources/name-source.ts';
import type { NameSource } from './resources/name-source.ts';
import { runOfUri, uriOfRun } from './resources/resources.ts';
import { createRunWatch } from './runs/watch-runs.ts';
import type { RunWatch } from './runs/watch-runs.ts';
import { serveCard } from './serve-card.ts';
import { servePrompts } from './serve-prompts.ts';
import { serveResources, serveSkills, serveSubscriptions } from './serve-resources.ts';
import { createReadCall, toSight } from './read-call.ts';
import type { ReadCall } from './read-call.ts';
import { annotationsOf, outputSchema } from './tool.ts';
import type { Answer, AnyTool, Question } from './tool.ts';
import { VERSION } from './version.ts';

/** The key under which a question and its answer travel. */
const ANSWER = 'confirmation';
/** How long a person may think about a question. */
const ANSWER_TTL_SECONDS = 600;

const questionState = z.object({ nonce: z.string(), tool: z.string() });
type QuestionState = z.output<typeof questionState>;

/** Serves MCP over standard input and output until the client is gone or the signal says so. */
export async function serve(engine: Engine, tools: readonly AnyTool[], signal: AbortSignal): Promise<void> {
  const read = createReadCall(engine, tools);
  const names = createNameSource({
    call: (tool, input) => read(tool, input, signal),
    commands: async (parent) => {
      const { catalogue } = await engine.cli();
      const page = parent === '' ? await catalogue.commands() : (await catalogue.page(parent)).help.subcommands;
      return page.map(({ name }) => name);
    },
    log: engine.log,
    now: () => engine.now(),
  });
  // Without it everything else is served: a client is then asked as one that shows no cards.
  const cardFile = engine.settings.card === 'off' ? undefined : findCardFile();
  let current: McpServer | undefined;
  const watch = createRunWatch({
    look: async (name, stop) => toSight(await read('get', { name }, stop)),
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
  const createConnected = async (): Promise<McpServer> => {
    current = await createServer({ engine, tools, names, read, watch, cardFile });
    return current;
  };
  const transport = observeStdio(observer);
  const handle = serveStdio(createConnected, {
    transport,
    onerror: (error) => engine.log.warn({ err: error }, 'protocol'),
  });
  engine.warmUp();
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
  observer.close();
  watch.close();
  await handle.close().catch((error: unknown) => engine.log.debug({ err: error }, 'close'));
}

const happens = (emitter: NodeJS.EventEmitter, event: string): Promise<string> =>
  new Promise((resolve) => {
    emitter.once(event, () => resolve(event));
  });

interface Parts {
  readonly engine: Engine;
  readonly tools: readonly AnyTool[];
  readonly names: NameSource;
  readonly read: ReadCall;
  readonly watch: RunWatch;
  readonly cardFile: string | undefined;
}

/** Makes the server of one connection. The SDK calls it once per client; both protocol eras are served by the same one. */
async function createServer({ engine, tools, names, read, watch, cardFile }: Parts): Promise<McpServer> {
  const states = createRequestStateCodec<QuestionState>({ key: randomBytes(32), ttlSeconds: ANSWER_TTL_SECONDS });
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

interface ToolParts {
  readonly engine: Engine;
  readonly server: McpServer;
  readonly states: RequestStateCodec<QuestionState>;
  readonly cardIsServed: boolean;
}

function registerTool(tool: AnyTool, { engine, server, states, cardIsServed }: ToolParts): void {
  const meta = describeCardUse(tool.card, cardIsServed);
  server.registerTool(
    tool.name,
    {
      title: tool.title,
      description: tool.description,
      inputSchema: listInput(tool.input),
      outputSchema: listOutput(outputSchema(tool)),
      annotations: annotationsOf(tool),
      ...(meta === undefined ? {} : { _meta: meta }),
    },
    async (raw: unknown, context: ServerContext): Promise<CallToolResult | InputRequiredResult> => {
      const abilities = readAbilities(declaredBy(server, context));
      const result = await callTool(engine, tool, raw, {
        canAskPerson: abilities.showsForms,
        canShowCard: abilities.showsCards && cardIsServed,
        ...readContext(tool, context),
      });
      if (result.kind === 'question')
        return ask(result, await states.mint({ nonce: result.nonce, tool: tool.name }, context));
      return {
        content: [{ type: 'text', text: result.text }],
        structuredContent: result.structured,
        isError: result.isError,
        ...(result.card === undefined ? {} : { _meta: { [CARD_META]: result.card } }),
      };
    },
  );
}

/** What the client can do: declared per connection in the older era, per request in the newer. */
function declaredBy(server: McpServer, { mcpReq }: ServerContext): unknown {
  const envelope: Readonly<Record<string, unknown>> = mcpReq.envelope ?? {};
  return server.server.getClientCapabilities() ?? envelope[CLIENT_CAPABILITIES_META_KEY];
}

/** Lists the input schema, but leaves the check to `callTool`: its refusal names the valid fields and the next step. */
function listInput(schema: z.ZodObject): StandardSchemaWithJSON {
  return listed(schema, (value) => ({ value }));
}

/** Lists the output schema; a result is held to the full one. */
function listOutput(schema: z.ZodObject): StandardSchemaWithJSON {
  return listed(schema, (value) => schema['~standard'].validate(value));
}

function listed(
  schema: z.ZodObject,
  validate: StandardSchemaWithJSON['~standard']['validate'],
): StandardSchemaWithJSON {
  const convert = (io: 'input' | 'output') => (): Record<string, unknown> =>
    compactSchema(z.toJSONSchema(schema, { io }), io);
  return {
    '~standard': {
      version: 1,
      vendor: 'dstack-mcp',
      validate,
      jsonSchema: { input: convert('input'), output: convert('output') },
    },
  };
}

function readContext(tool: AnyTool, context: ServerContext): Omit<CallContext, 'canAskPerson' | 'canShowCard'> {
  const progressToken = context.mcpReq._meta?.progressToken;
  const answer = readAnswer(tool, context);
  let step = 0;
  return {
    signal: context.mcpReq.signal,
    ...(answer === undefined ? {} : { answer }),
    ...(progressToken === undefined
      ? {}
      : {
          progress: (message: string) => {
            step += 1;
            // A client that is gone doesn't want to hear of it.
            void context.mcpReq
              .notify({ method: 'notifications/progress', params: { progressToken, progress: step, message } })
              .catch(() => undefined);
          },
        }),
  };
}

function readAnswer(tool: AnyTool, context: ServerContext): Answer | undefined {
  const state = questionState.safeParse(context.mcpReq.requestState());
  if (!state.success || state.data.tool !== tool.name) return undefined;
  const { nonce } = state.data;
  const response = inputResponse(context.mcpReq.inputResponses, ANSWER);
  if (response.kind === 'missing') return undefined;
  const content = acceptedContent(context.mcpReq.inputResponses, ANSWER);
  if (content !== undefined) return { kind: 'accepted', content, nonce };
  return { kind: response.kind === 'elicit' && response.action === 'decline' ? 'declined' : 'cancelled', nonce };
}

function ask(question: Question, requestState: string): InputRequiredResult {
  const requestedSchema = {
    type: 'object' as const,
    properties:
      question.field === 'approve'
        ? { approve: { type: 'boolean' as const, title: 'Approve', default: false } }
        : { name: { type: 'string' as const, title: 'Type the name to confirm' } },
    required: [question.field],
  };
  return inputRequired({
    inputRequests: { [ANSWER]: inputRequired.elicit({ message: question.message, requestedSchema }) },
    requestState,
  });
}
