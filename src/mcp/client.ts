import { inputRequired, inputResponse, ProtocolError, SdkError, SdkErrorCode } from '@modelcontextprotocol/server';
import type { InputRequiredResult, ServerContext } from '@modelcontextprotocol/server';
import * as z from 'zod';
import { fileURLToPath } from 'node:url';
import type { Answer, Question, QuestionField } from '../core/report.ts';
import { CARD_MIME_TYPE } from '../core/report.ts';

/** How long a person may take to answer a question. */
export const ANSWER_TTL_SECONDS = 600;

/** The key of a question and of its answer. */
const ANSWER = 'confirmation';

/** Returns the result that has a client of protocol 2026-07-28 show the form, and repeat the call with the answer and this state. */
export const requestAnswer = (question: Question, requestState: string): InputRequiredResult =>
  inputRequired({ inputRequests: { [ANSWER]: inputRequired.elicit(formOf(question)) }, requestState });

/** Reads the answer in a repeated call. */
export function readAnswer(context: ServerContext, nonce: string): Answer {
  const response = inputResponse(context.mcpReq.inputResponses, ANSWER);
  return response.kind === 'elicit' ? toAnswer(response, nonce) : { kind: 'unusable', nonce };
}

/** Shows the form in a client of an older protocol, and returns the answer. */
export async function askForAnswer(question: Question, context: ServerContext): Promise<Answer> {
  const { nonce } = question;
  try {
    // The SDK would do this for a result as above, but returns the client's error as bare text.
    const answer = await context.mcpReq.send(
      { method: 'elicitation/create', params: { mode: 'form', ...formOf(question) } },
      { timeout: ANSWER_TTL_SECONDS * 1_000, signal: context.mcpReq.signal },
    );
    return toAnswer(answer, nonce);
  } catch (error) {
    // An error, or something that isn't an answer: the client can't show the form. Otherwise the time is up, or the client is gone.
    const isUnusable =
      error instanceof ProtocolError || (error instanceof SdkError && error.code === SdkErrorCode.InvalidResult);
    return { kind: isUnusable ? 'unusable' : 'cancelled', nonce };
  }
}

const elicited = z.discriminatedUnion('action', [
  z.looseObject({ action: z.literal('accept'), content: z.record(z.string(), z.unknown()) }),
  z.looseObject({ action: z.literal('decline') }),
  z.looseObject({ action: z.literal('cancel') }),
]);

function toAnswer(response: unknown, nonce: string): Answer {
  const { data } = elicited.safeParse(response);
  switch (data?.action) {
    case 'accept':
      return { kind: 'accepted', content: data.content, nonce };
    case 'decline':
      return { kind: 'declined', nonce };
    case 'cancel':
      return { kind: 'cancelled', nonce };
    case undefined:
      return { kind: 'unusable', nonce };
    default:
      return data satisfies never;
  }
}

/**
 * The form that was safe in every client that was tried: a required choice without a default, whose first option changes nothing. A
 * checkbox is shown as answered by some and preselected by others, and a form without fields approves on Enter.
 */
function formOf({ message, field }: Question) {
  return { message, requestedSchema: { type: 'object' as const, ...fieldsOf(field) } };
}

function fieldsOf(field: QuestionField) {
  if (field.kind === 'name')
    return { properties: { name: { type: 'string' as const, title: 'Type the name to confirm' } }, required: ['name'] };
  const decision = { type: 'string' as const, title: 'Your decision', enum: [field.no, field.yes] };
  return { properties: { decision }, required: ['decision'] };
}

/** The key of the request for roots and of its answer. */
const ROOTS = 'roots';

/** A client that takes longer has lost the request. */
const TIMEOUT_MS = 2_000;
const MAX_ROOTS = 20;

const listed = z.object({ roots: z.array(z.object({ uri: z.string() })) });

/** Returns the result that has a client of protocol 2026-07-28 repeat the call with its roots. */
export const requestRoots = (): InputRequiredResult =>
  inputRequired({ inputRequests: { [ROOTS]: inputRequired.listRoots() } });

/** Returns the roots in a repeated call; undefined if the client sent none. */
export function readRoots(context: ServerContext): readonly string[] | undefined {
  const response = inputResponse(context.mcpReq.inputResponses, ROOTS);
  return response.kind === 'roots' ? toFolders(response) : undefined;
}

/** Asks a client of an older protocol for its roots; undefined if it doesn't answer. */
export async function askForRoots(context: ServerContext): Promise<readonly string[] | undefined> {
  const options = { timeout: TIMEOUT_MS, signal: context.mcpReq.signal };
  return context.mcpReq.send({ method: 'roots/list' }, options).then(toFolders, () => undefined);
}

/** Returns the folders on this computer, as paths. */
function toFolders(answer: unknown): readonly string[] | undefined {
  const { data } = listed.safeParse(answer);
  return data?.roots.slice(0, MAX_ROOTS).flatMap(({ uri }) => {
    try {
      return [fileURLToPath(uri)];
    } catch {
      return [];
    }
  });
}

/** The prompts that a client can show, from its declared capabilities. The name of the client is not used. */
export interface ClientCapabilities {
  readonly showsForms: boolean;
  /** MCP Apps. */
  readonly showsCards: boolean;
  readonly hasRoots: boolean;
}

const declaredCapabilities = z.looseObject({
  roots: z.looseObject({}).optional().catch(undefined),
  elicitation: z.looseObject({ form: z.unknown(), url: z.unknown() }).partial().optional(),
  extensions: z
    .looseObject({ 'io.modelcontextprotocol/ui': z.looseObject({ mimeTypes: z.array(z.string()) }).optional() })
    .optional()
    // An unknown form of this declaration counts as none; the other capabilities still count.
    .catch(undefined),
});

/** Reads the capabilities that a client declares; what can't be read counts as not declared. */
export function readClientCapabilities(declared: unknown): ClientCapabilities {
  const { data } = declaredCapabilities.safeParse(declared);
  const elicitation = data?.elicitation;
  const mimeTypes = data?.extensions?.['io.modelcontextprotocol/ui']?.mimeTypes ?? [];
  return {
    // A client shows forms if it names them, or if it names no mode at all: forms were once the only one.
    showsForms: elicitation !== undefined && (elicitation.form !== undefined || elicitation.url === undefined),
    showsCards: mimeTypes.includes(CARD_MIME_TYPE),
    hasRoots: data?.roots !== undefined,
  };
}
