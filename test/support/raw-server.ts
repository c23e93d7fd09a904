import { spawn } from 'node:child_process';
import { onTestFinished } from 'vitest';
import * as z from 'zod';
import type { AtEnd } from './connect.ts';
import { builtServer } from './paths.ts';

const message = z.looseObject({ jsonrpc: z.literal('2.0'), id: z.number().nullish() });

/** The bundled server without a client library: bytes in, bytes out. */
export interface RawServer {
  readonly pid: number;
  /** Returns everything from standard output. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  /** The lines of standard output as messages. @throws for a line that is not a protocol message. */
  readonly messages: () => readonly z.output<typeof message>[];
  readonly ended: Promise<{ readonly code: number | null; readonly signal: string | null }>;
  write(text: string): void;
  /** Sends a request in the older era's form. */
  request(id: number, method: string, params?: unknown): void;
  notify(method: string, params?: unknown): void;
  endInput(): void;
  /** Closes the reading end: further writes of the server fail. */
  closeOutput(): void;
  signal(name: NodeJS.Signals): void;
}

/** Starts the server, whose results have structured content. It is killed after the test if it still runs. */
export function startRawServer(env: Readonly<Record<string, string>>, atEnd: AtEnd = onTestFinished): RawServer {
  const child = spawn(process.execPath, [builtServer], {
    env: { DSTACK_MCP_STRUCTURED: 'on', ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    stdout += chunk;
  });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    stderr += chunk;
  });
  // The server has ended, as the test wants.
  child.stdin.on('error', () => undefined);
  const ended = new Promise<{ code: number | null; signal: string | null }>((resolve) => {
    child.once('close', (code, signal) => resolve({ code, signal }));
  });
  atEnd(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    messages: () =>
      stdout
        .split('\n')
        .slice(0, -1)
        .map((line) => message.parse(JSON.parse(line))),
    ended,
    write: (text) => child.stdin.write(text),
    request: (id, method, params = {}) =>
      child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', id, method, params })}\n`),
    notify: (method, params = {}) => child.stdin.write(`${JSON.stringify({ jsonrpc: '2.0', method, params })}\n`),
    endInput: () => child.stdin.end(),
    closeOutput: () => child.stdout.destroy(),
    signal: (name) => child.kill(name),
  };
}

/** The parameters of `initialize`. */
export const INITIALIZE = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'raw', version: '1.0.0' },
} as const;
