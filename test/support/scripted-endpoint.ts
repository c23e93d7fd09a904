import { createServer } from 'node:http';
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import * as z from 'zod';
import { listenOnLoopback } from './listen-on-loopback.ts';

const request = z.object({ messages: z.array(z.looseObject({ role: z.string(), content: z.unknown() })) });

/** The next step of the scripted model: a call of a tool, or an answer that ends its turn. */
export type Move =
  | { readonly tool: string; readonly input: Readonly<Record<string, unknown>> }
  | { readonly says: string };

/** Decides the next move from the results of the tools so far, oldest first. */
export type Script = (results: readonly string[]) => Move;

/** Starts an OpenAI-compatible endpoint on loopback whose model follows a script. Returns its base URL. */
export async function startScriptedEndpoint(script: Script): Promise<string> {
  const respond = async (incoming: IncomingMessage): Promise<string> => {
    const { messages } = request.parse(JSON.parse(await text(incoming)));
    const results = messages.filter(({ role }) => role === 'tool').map(({ content }) => JSON.stringify(content));
    return JSON.stringify(toCompletion(script(results)));
  };
  const server = createServer((incoming, response) => {
    response.setHeader('content-type', 'application/json');
    void respond(incoming).then((body) => response.end(body));
  });
  const port = await listenOnLoopback(server);
  return `http://127.0.0.1:${port}/v1`;
}

function toCompletion(move: Move): object {
  const isCall = 'tool' in move;
  const message = isCall
    ? {
        role: 'assistant',
        content: null,
        tool_calls: [
          { id: 'call-1', type: 'function', function: { name: move.tool, arguments: JSON.stringify(move.input) } },
        ],
      }
    : { role: 'assistant', content: move.says };
  return {
    id: 'completion-1',
    created: 0,
    model: 'scripted',
    choices: [{ index: 0, message, finish_reason: isCall ? 'tool_calls' : 'stop' }],
    usage: { prompt_tokens: 100, completion_tokens: 10, total_tokens: 110 },
  };
}
