import type { RawServer } from './raw-server.ts';
import { until } from './wait.ts';

type Result = Readonly<Record<string, unknown>>;

/** Returns the structured content of the answer to the request with this id, once it has arrived. */
export async function resultOf(server: RawServer, id: number): Promise<Result> {
  const messages = await until(
    () => Promise.resolve(server.messages()),
    (all) => all.some((message) => message.id === id && 'result' in message),
  );
  const found = messages.find((message) => message.id === id)?.['result'];
  const content = Object(found)['structuredContent'] ?? {};
  return content;
}

export const callTool = (server: RawServer, id: number, tool: string, input: Result): void =>
  server.request(id, 'tools/call', { name: tool, arguments: input });
