import { ProtocolError, SdkError, SdkErrorCode, inputRequired, inputResponse } from '@modelcontextprotocol/server';
import type { InputRequiredResult, ServerContext } from '@modelcontextprotocol/server';
import * as z from 'zod';
import type { Answer, Question, QuestionField } from '../core/report.ts';

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
