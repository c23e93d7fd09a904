import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { Client as OldClient } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport as OldStdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import {
  ElicitRequestSchema,
  ListRootsRequestSchema,
  ResourceUpdatedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js';
import type { Stream } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { onTestFinished } from 'vitest';
import * as z from 'zod';
import { builtServer } from './paths.ts';

/** A client as users have it: the current SDK in both protocol eras, and the SDK that many hosts still embed. */
export const CLIENTS = ['current SDK, 2026-07-28', 'current SDK, 2025-11-25', 'older SDK, 2025-11-25'] as const;
export type ClientKind = (typeof CLIENTS)[number];

/** The person's answer to a form; `approve` stands for the choice of an option. */
export type Person = (message: string, field: 'approve' | 'name') => PersonAnswer;
export type PersonAnswer =
  | { action: 'accept'; content: Record<string, string | boolean> }
  | { action: 'decline' }
  | { action: 'cancel' };

/** A person who agrees to everything and types the name that they are asked for. */
export const agreeing: Person = (message, field) => ({
  action: 'accept',
  content:
    field === 'approve' ? { approve: true } : { name: /Type the name (\S+) to approve/.exec(message)?.[1] ?? '' },
});

export interface Answer {
  readonly isError: boolean;
  readonly text: string;
  /** The blocks of content after the text. */
  readonly pictures: readonly Readonly<Record<string, unknown>>[];
  /** The structured content; empty without it. */
  readonly facts: Readonly<Record<string, unknown>>;
  readonly structured: Readonly<Record<string, unknown>> | undefined;
  /** Data for the card alone. */
  readonly card: Readonly<Record<string, unknown>> | undefined;
}

export interface CallOptions {
  readonly signal?: AbortSignal;
  readonly onProgress?: (message: string) => void;
}

export interface TestClient {
  readonly pid: number;
  /** Returns the standard error of the server so far. */
  readonly stderr: () => string;
  call(tool: string, input?: Readonly<Record<string, unknown>>, options?: CallOptions): Promise<Answer>;
  listTools(): Promise<readonly Record<string, unknown>[]>;
  /** Everything except tools. */
  readonly features: McpFeatures;
  instructions(): string | undefined;
  protocolVersion(): string | undefined;
  close(): Promise<void>;
}

/** Resources, prompts, completions and subscriptions of a client, alike in both protocol eras. */
export interface McpFeatures {
  listResources(): Promise<unknown>;
  listResourceTemplates(): Promise<unknown>;
  listPrompts(): Promise<unknown>;
  readResource(params: { uri: string }): Promise<unknown>;
  getPrompt(params: { name: string; arguments: Record<string, string> }): Promise<unknown>;
  complete(params: CompleteParams): Promise<unknown>;
  /** Returns a function that ends the subscription; `onUpdate` receives the URI. */
  subscribe(uri: string, onUpdate: (uri: string) => void): Promise<() => Promise<void>>;
}

export interface CompleteParams {
  ref: { type: 'ref/prompt'; name: string } | { type: 'ref/resource'; uri: string };
  argument: { name: string; value: string };
}

export interface ConnectOptions {
  readonly env: Readonly<Record<string, string>>;
  readonly kind?: ClientKind;
  /** Answers the client's forms; without one, the client declares none. */
  readonly person?: Person;
  /** How long the person takes to read a form. Defaults to just longer than a program could be mistaken for one. */
  readonly readMs?: number;
  /** The client declares that it shows cards (MCP Apps). */
  readonly showsCards?: boolean;
  /** Returns the client's roots now, as URIs. */
  readonly roots?: () => readonly string[];
  /** Results have structured content, as for programs. Defaults to true. */
  readonly structured?: boolean;
  readonly args?: readonly string[];
  /** Path of the server. Defaults to the built one. */
  readonly server?: string;
  /** Registers the cleanup. Defaults to the end of the test. */
  readonly atEnd?: AtEnd;
}

export type AtEnd = (end: () => Promise<void>) => void;

/** Starts the bundled server over stdio and connects to it. It is closed after the test. */
export async function connect({
  env,
  kind = CLIENTS[0],
  person,
  readMs = 600,
  showsCards = false,
  structured = true,
  roots,
  args = [],
  server = builtServer,
  atEnd = onTestFinished,
}: ConnectOptions): Promise<TestClient> {
  const start = {
    command: process.execPath,
    args: [server, ...args],
    env: { ...(structured ? { DSTACK_MCP_STRUCTURED: 'on' } : {}), ...env },
    stderr: 'pipe' as const,
  };
  const answer =
    person === undefined
      ? undefined
      : (params: FormParams): Promise<PersonAnswer> => answerForm(params, person, readMs);
  const means = { answer, roots, extensions: showsCards ? CARDS : undefined };
  const client =
    kind === 'older SDK, 2025-11-25' ? await connectOld(start, means) : await connectCurrent(start, kind, means);
  atEnd(() => client.close());
  return client;
}

/** Key of the card's data in results. */
const CARD_META = 'dstack-mcp/card';

/** As hosts with MCP Apps declare it. */
const CARDS = { 'io.modelcontextprotocol/ui': { mimeTypes: ['text/html;profile=mcp-app'] } };

/** The ways in which a client can ask a person. */
interface Means {
  readonly answer: ((params: FormParams) => Promise<PersonAnswer>) | undefined;
  readonly extensions: typeof CARDS | undefined;
  readonly roots: (() => readonly string[]) | undefined;
}

interface Start {
  readonly command: string;
  readonly args: string[];
  readonly env: Record<string, string>;
  readonly stderr: 'pipe';
}

async function connectCurrent(
  start: Start,
  kind: ClientKind,
  { answer, extensions, roots }: Means,
): Promise<TestClient> {
  const transport = new StdioClientTransport(start);
  const stderr = collect(transport.stderr);
  const client = new Client(
    { name: 'test', version: '1.0.0' },
    {
      capabilities: {
        ...(answer === undefined ? {} : { elicitation: { form: {} } }),
        ...(extensions === undefined ? {} : { extensions }),
        ...(roots === undefined ? {} : { roots: {} }),
      },
      versionNegotiation: { mode: kind === CLIENTS[0] ? 'auto' : 'legacy' },
    },
  );
  if (answer !== undefined) client.setRequestHandler('elicitation/create', (request) => answer(request.params));
  if (roots !== undefined) client.setRequestHandler('roots/list', () => ({ roots: roots().map((uri) => ({ uri })) }));
  await client.connect(transport);
  return {
    pid: transport.pid ?? 0,
    stderr,
    call: async (name, input = {}, options = {}) =>
      toAnswer(await client.callTool({ name, arguments: { ...input } }, toRequestOptions(options))),
    listTools: async () => (await client.listTools()).tools.map((tool) => ({ ...tool })),
    features: openFeatures(client, async (uri, onUpdate) => {
      client.setNotificationHandler('notifications/resources/updated', ({ params }) => onUpdate(params.uri));
      if (kind === CLIENTS[0]) {
        const listening = await client.listen({ resourceSubscriptions: [uri] });
        return () => listening.close();
      }
      await client.subscribeResource({ uri });
      return async () => void (await client.unsubscribeResource({ uri }));
    }),
    instructions: () => client.getInstructions(),
    protocolVersion: () => client.getNegotiatedProtocolVersion(),
    close: () => client.close(),
  };
}

async function connectOld(start: Start, { answer, extensions, roots }: Means): Promise<TestClient> {
  const transport = new OldStdioClientTransport(start);
  const stderr = collect(transport.stderr);
  const client = new OldClient(
    { name: 'test', version: '1.0.0' },
    {
      capabilities: {
        ...(answer === undefined ? {} : { elicitation: {} }),
        ...(extensions === undefined ? {} : { extensions }),
        ...(roots === undefined ? {} : { roots: {} }),
      },
    },
  );
  if (answer !== undefined) client.setRequestHandler(ElicitRequestSchema, (request) => answer(request.params));
  if (roots !== undefined)
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: roots().map((uri) => ({ uri })) }));
  await client.connect(transport);
  return {
    pid: transport.pid ?? 0,
    stderr,
    call: async (name, input = {}, options = {}) =>
      toAnswer(await client.callTool({ name, arguments: { ...input } }, undefined, toRequestOptions(options))),
    listTools: async () => (await client.listTools()).tools.map((tool) => ({ ...tool })),
    features: openFeatures(client, async (uri, onUpdate) => {
      client.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => onUpdate(params.uri));
      await client.subscribeResource({ uri });
      return async () => void (await client.unsubscribeResource({ uri }));
    }),
    instructions: () => client.getInstructions(),
    protocolVersion: () => '2025-11-25',
    close: () => client.close(),
  };
}

function openFeatures(client: Omit<McpFeatures, 'subscribe'>, subscribe: McpFeatures['subscribe']): McpFeatures {
  return {
    listResources: () => client.listResources(),
    listResourceTemplates: () => client.listResourceTemplates(),
    listPrompts: () => client.listPrompts(),
    readResource: (params) => client.readResource(params),
    getPrompt: (params) => client.getPrompt(params),
    complete: (params) => client.complete(params),
    subscribe,
  };
}

function collect(stream: Stream | null): () => string {
  let text = '';
  stream?.on('data', (chunk: Buffer) => {
    text += chunk.toString();
  });
  return () => text;
}

interface FormParams {
  readonly message: string;
  readonly requestedSchema?: object;
}

/** The form for a choice: required, without a default, and the first option changes nothing. */
const choice = z.strictObject({
  type: z.literal('object'),
  properties: z.strictObject({
    decision: z.strictObject({
      type: z.literal('string'),
      title: z.string(),
      enum: z.tuple([z.literal('No, do nothing'), z.string().regex(/^Yes, (?:create|update|stop|allow) /)]),
    }),
  }),
  required: z.tuple([z.literal('decision')]),
});

async function answerForm(
  { message, requestedSchema = {} }: FormParams,
  person: Person,
  readMs: number,
): Promise<PersonAnswer> {
  await delay(readMs);
  if (JSON.stringify(requestedSchema).includes('"name"')) return person(message, 'name');
  const [no, yes] = choice.parse(requestedSchema).properties.decision.enum;
  const answer = person(message, 'approve');
  if (answer.action !== 'accept' || !('approve' in answer.content)) return answer;
  return { action: 'accept', content: { decision: answer.content['approve'] === true ? yes : no } };
}

function toRequestOptions({ signal, onProgress }: CallOptions): {
  timeout: number;
  signal?: AbortSignal;
  onprogress?: (progress: { message?: string | undefined }) => void;
} {
  return {
    timeout: 120_000,
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onprogress: ({ message }) => onProgress(message ?? '') }),
  };
}

const toolResult = z.looseObject({
  content: z.array(z.looseObject({ type: z.string(), text: z.string().optional() })),
  structuredContent: z.record(z.string(), z.unknown()).optional(),
  isError: z.boolean().optional(),
  _meta: z.looseObject({ [CARD_META]: z.record(z.string(), z.unknown()).optional() }).optional(),
});

function toAnswer(result: unknown): Answer {
  const { content, structuredContent, isError, _meta } = toolResult.parse(result);
  const text = content.map((block) => block.text ?? '').join('\n');
  return {
    isError: isError === true,
    pictures: content.filter(({ type }) => type !== 'text'),
    text,
    facts: structuredContent ?? {},
    structured: structuredContent,
    card: _meta?.[CARD_META],
  };
}
