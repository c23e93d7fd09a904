import { INITIALIZE, startRawServer } from '../raw-server.ts';
import { until } from '../wait.ts';

/** The protocol version of a client. */
export type Era = '2025-11-25' | '2026-07-28';

/** The end of a server, and how long it took. */
export interface Exit {
  readonly how: 'end-of-input' | 'SIGTERM' | 'SIGKILL';
  readonly code: number | null;
  readonly signal: string | null;
  readonly ms: number;
}

/** One server with its client. */
export interface Session {
  readonly pid: number;
  /** Calls a tool. The facts are undefined if the server ends before it answers. */
  call(tool: string, input: Readonly<Record<string, unknown>>): OpenCall;
  /** Ends the server, once, and waits until it has ended. */
  end(how?: Exit['how']): Promise<Exit>;
}

interface OpenCall {
  readonly facts: Promise<Readonly<Record<string, unknown>> | undefined>;
  readonly cancel: () => void;
}

const MODERN = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'raw', version: '1.0.0' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** Starts a server and a client of an era, which asks nobody. */
export function openSession(env: Readonly<Record<string, string>>, era: Era): Session {
  const server = startRawServer(env);
  if (era === '2025-11-25') {
    server.request(0, 'initialize', INITIALIZE);
    server.notify('notifications/initialized');
  }
  let lastId = 0;
  let hasEnded = false;
  void server.ended.finally(() => {
    hasEnded = true;
  });
  const factsOf = async (id: number): Promise<Readonly<Record<string, unknown>> | undefined> => {
    const find = (): unknown => server.messages().find((message) => message.id === id)?.['result'];
    const result = await until(
      () => Promise.resolve(find()),
      (found) => found !== undefined || hasEnded,
    );
    return result === undefined ? undefined : (Object(result)['structuredContent'] ?? {});
  };
  let exit: Promise<Exit> | undefined;
  const end = async (how: Exit['how']): Promise<Exit> => {
    const since = performance.now();
    if (how === 'end-of-input') server.endInput();
    else server.signal(how);
    return { how, ...(await server.ended), ms: Math.round(performance.now() - since) };
  };
  return {
    pid: server.pid,
    call(name, input) {
      const id = (lastId += 1);
      const meta = era === '2025-11-25' ? {} : { _meta: MODERN };
      server.request(id, 'tools/call', { name, arguments: input, ...meta });
      return { facts: factsOf(id), cancel: () => server.notify('notifications/cancelled', { requestId: id }) };
    },
    end: (how = 'end-of-input') => (exit ??= end(how)),
  };
}
