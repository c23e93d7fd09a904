import { createServer, request as openRequest } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { onTestFinished } from 'vitest';
import { listenOnLoopback } from './listen-on-loopback.ts';
import type { AtEnd } from './connect.ts';

/** A fault of a request: before it reaches the server, or after the server has processed it. */
export type Fault =
  | { readonly kind: 'status'; readonly status: number; readonly body: string; readonly type?: string }
  | { readonly kind: 'redirect'; readonly to: string }
  /** Accepts, and never answers. */
  | { readonly kind: 'hang' }
  /** Ends the connection without an answer. */
  | { readonly kind: 'reset' }
  /** The server does what it was asked, and its answer is lost on the way. */
  | { readonly kind: 'lose-answer' }
  /** The server does what it was asked; half of its answer arrives. */
  | { readonly kind: 'half-answer' }
  /** The server does what it was asked, and answers late. `onHeld` is called once it has done it. */
  | { readonly kind: 'late'; readonly untilReleased: Promise<void>; readonly onHeld?: () => void };

/** A request that reached the proxy. */
export interface SeenRequest {
  readonly path: string;
  /** Whether it met the fault. */
  readonly faulty: boolean;
  /** The status that dstack's server answered with, whether or not it arrived; undefined as long as the server hasn't answered. */
  status: number | undefined;
}

/** A proxy in front of the sandbox's server that fails where a test wants it to. */
export interface FaultyServer {
  readonly url: string;
  /** The requests so far, in order. */
  readonly seen: readonly SeenRequest[];
  /** The distinct access tokens of the requests. */
  readonly tokens: readonly string[];
  /** Returns the bodies of all requests so far, as one text. */
  received(): string;
  /** The number of hanging requests whose client still waits. */
  readonly hanging: number;
  /** Makes requests with a matching path meet the fault from now on, or once another one has been answered; undefined for none. */
  breakWith(fault: Fault | undefined, where?: RegExp, after?: RegExp): void;
  /** Ends the connections of all hanging requests. */
  dropHanging(): void;
}

/** Starts the proxy on a free loopback port, and stops it after the test. */
export async function startFaultyServer(target: string, atEnd: AtEnd = onTestFinished): Promise<FaultyServer> {
  let broken: { readonly fault: Fault; readonly where: RegExp; readonly after: RegExp | undefined } | undefined;
  const seen: SeenRequest[] = [];
  const tokens = new Set<string>();
  const bodies: Buffer[] = [];
  const hanging = new Set<IncomingMessage['socket']>();
  const server = createServer((incoming, outgoing) => {
    const path = incoming.url ?? '/';
    const fault = broken?.after === undefined && broken?.where.test(path) === true ? broken.fault : undefined;
    if (broken?.after?.test(path) === true) broken = { ...broken, after: undefined };
    const noted: SeenRequest = { path, faulty: fault !== undefined, status: undefined };
    seen.push(noted);
    incoming.on('data', (chunk: Buffer) => bodies.push(chunk));
    if (incoming.headers.authorization !== undefined) tokens.add(incoming.headers.authorization);
    if (fault?.kind === 'hang') {
      const { socket } = incoming;
      hanging.add(socket);
      socket.once('close', () => void hanging.delete(socket));
    }
    const forward = (onAnswer?: OnAnswer): void => pass(target, { incoming, outgoing, noted }, onAnswer);
    if (fault === undefined) forward();
    else meet(fault, { incoming, outgoing, forward });
  });
  const port = await listenOnLoopback(server, atEnd);
  return {
    url: `http://127.0.0.1:${port}`,
    seen,
    received: () => Buffer.concat(bodies).toString('latin1'),
    get tokens() {
      return [...tokens];
    },
    get hanging() {
      return hanging.size;
    },
    breakWith(fault, where = /./, after) {
      broken = fault && { fault, where, after };
    },
    dropHanging() {
      for (const socket of hanging) socket.destroy();
    },
  };
}

type OnAnswer = (answer: IncomingMessage) => void | Promise<void>;

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
}

function meet(
  fault: Fault,
  { incoming, outgoing, forward }: Exchange & { readonly forward: (onAnswer: OnAnswer) => void },
): void {
  switch (fault.kind) {
    case 'status':
      outgoing.writeHead(fault.status, { 'content-type': fault.type ?? 'application/json' }).end(fault.body);
      return;
    case 'redirect':
      outgoing.writeHead(302, { location: fault.to }).end();
      return;
    case 'hang':
      incoming.resume();
      return;
    case 'reset':
      incoming.socket.resetAndDestroy();
      return;
    case 'lose-answer':
      forward(() => void incoming.socket.resetAndDestroy());
      return;
    case 'half-answer':
      forward((answer) => {
        outgoing.writeHead(answer.statusCode ?? 200, answer.headers);
        answer.once('data', (chunk: Buffer) => {
          outgoing.write(chunk.subarray(0, Math.ceil(chunk.length / 2)), () => incoming.socket.destroy());
        });
      });
      return;
    case 'late':
      forward(async (answer) => {
        fault.onHeld?.();
        await fault.untilReleased;
        outgoing.writeHead(answer.statusCode ?? 200, answer.headers);
        answer.pipe(outgoing);
      });
      return;
    default:
      fault satisfies never;
  }
}

function pass(
  target: string,
  { incoming, outgoing, noted }: Exchange & { readonly noted: SeenRequest },
  onAnswer: OnAnswer = (answer) => {
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(outgoing);
  },
): void {
  const { method, headers } = incoming;
  const passed = openRequest(new URL(incoming.url ?? '/', target), { method, headers, agent: false }, (answer) => {
    noted.status = answer.statusCode;
    void onAnswer(answer);
  });
  passed.once('error', () => outgoing.destroy());
  incoming.pipe(passed);
}
