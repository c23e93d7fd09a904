import { z } from 'zod';
import type { App, AppReply, AppRequest } from './scenarios.ts';

/** Creates the application on a task's port. It answers every request with a greeting. */
export function createHelloApp(runName: string): App {
  return ({ path }) => text(`hello from ${runName} ${path}\n`);
}

/** Creates the application of a service, with the OpenAI chat API if it serves a model. */
export function createServiceApp(runName: string, modelName: string | undefined): App {
  return (request) => {
    const path = request.path.split('?')[0];
    if (path === '/health') return json({ status: 'ok' });
    if (modelName !== undefined && path === '/v1/models') {
      return json({ object: 'list', data: [{ id: modelName, object: 'model', created: 0, owned_by: runName }] });
    }
    if (modelName !== undefined && path === '/v1/chat/completions') return completeChat(request, modelName);
    return text(`${runName} ${request.path}\n`);
  };
}

function completeChat({ method, body }: AppRequest, modelName: string): AppReply {
  if (method !== 'POST') return { ...json({ error: { message: 'Method not allowed' } }), status: 405 };
  const content = `(simulated ${modelName}) You said: ${lastMessage(body)}`;
  const id = 'chatcmpl-simulated';
  if (/"stream"\s*:\s*true/.test(body)) return streamChat(id, modelName, content);
  return json({
    id,
    object: 'chat.completion',
    created: 0,
    model: modelName,
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
    usage: { prompt_tokens: 8, completion_tokens: 8, total_tokens: 16 },
  });
}

function streamChat(id: string, model: string, content: string): AppReply {
  const chunk = (delta: Record<string, string>, finishReason: string | null): string =>
    `data: ${JSON.stringify({
      id,
      object: 'chat.completion.chunk',
      created: 0,
      model,
      choices: [{ index: 0, delta, finish_reason: finishReason }],
    })}\n\n`;
  const body = `${chunk({ role: 'assistant', content }, null)}${chunk({}, 'stop')}data: [DONE]\n\n`;
  return { headers: { 'content-type': 'text/event-stream' }, body };
}

const chatRequest = z.object({ messages: z.array(z.object({ content: z.string().catch('') })) });

function lastMessage(body: string): string {
  try {
    return chatRequest.parse(JSON.parse(body)).messages.at(-1)?.content ?? '';
  } catch {
    return '';
  }
}

function json(value: unknown): AppReply {
  return { headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) };
}

function text(body: string): AppReply {
  return { headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}
