import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { Duplex } from 'node:stream';
import { WebSocket, WebSocketServer } from 'ws';
import { readBody, sendJson } from './http-json.ts';
import type { Job } from './job.ts';
import { findWorkingFolder, parseSubmission } from './submission.ts';

/** Options for a simulated runner. */
export interface RunnerOptions {
  readonly job: Job;
  readonly dstackVersion: string;
  readonly gpuCount: number;
  readonly gpuUtilization: number;
  readonly memoryBytes: number;
  readonly secondsWithoutConnection: () => number;
}

// When the CLI closes the stream, two of its threads wait for the answer. If the wrong one reads it, the other waits out its timeout
// of ten seconds. Meaningless pongs keep the connection readable until both have woken up.
const PONG_ROUNDS = 10;
const PONGS_PER_ROUND = 50;
const PONG_ROUND_MS = 20;

class LogSocket extends WebSocket {
  /** Closes the stream from the server's side. */
  finish(): void {
    super.close(1000);
  }

  override close(code?: number, reason?: string | Buffer): void {
    this.#answerClose(PONG_ROUNDS, () => super.close(code, reason));
  }

  #answerClose(roundsLeft: number, close: () => void): void {
    if (roundsLeft === 0) return close();
    for (let count = 0; count < PONGS_PER_ROUND && this.readyState === WebSocket.OPEN; count += 1) this.pong();
    setTimeout(() => this.#answerClose(roundsLeft - 1, close), PONG_ROUND_MS);
  }
}

/** Creates the HTTP server with the runner API of one job. It never listens; connections are passed to it. */
export function createRunner(options: RunnerOptions): Server {
  const server = createServer((request, response) => {
    answer(request, response, options).catch((error: unknown) => {
      if (!response.headersSent) sendJson(response, { error: String(error) }, 500);
    });
  });
  const sockets = new WebSocketServer({ noServer: true, WebSocket: LogSocket });
  server.on('upgrade', (request: IncomingMessage, stream: Duplex, head: Buffer) => {
    const startTime = new URL(request.url ?? '/', 'http://runner').searchParams.get('start_time');
    // URLSearchParams decodes a plus sign as a space.
    const sinceMs = startTime === null ? 0 : Date.parse(startTime.replace(' ', '+')) || 0;
    const kept = keepOpen(stream, () => options.job.isFinished);
    sockets.handleUpgrade(request, kept, head, (socket) => streamLogs(socket, options.job, sinceMs));
  });
  return server;
}

/**
 * Wraps a stream so that ending the wrapper ends the stream only if `mayEnd` returns true. When the dstack CLI closes a WebSocket,
 * the CLI must end the connection; it hangs otherwise.
 */
function keepOpen(stream: Duplex, mayEnd: () => boolean): Duplex {
  const wrapper = new Duplex({
    read: () => stream.resume(),
    write: (chunk, encoding, done) => {
      if (stream.writable) stream.write(chunk, encoding, done);
      else done();
    },
    final: (done) => {
      if (mayEnd()) stream.end();
      done();
    },
  });
  stream.on('data', (chunk) => {
    if (!wrapper.push(chunk)) stream.pause();
  });
  stream.on('end', () => wrapper.push(null));
  stream.on('close', () => wrapper.destroy());
  stream.on('error', () => wrapper.destroy());
  return wrapper;
}

async function answer(request: IncomingMessage, response: ServerResponse, options: RunnerOptions): Promise<void> {
  const { job } = options;
  const url = new URL(request.url ?? '/', 'http://runner');
  const body = await readBody(request);
  switch (`${request.method} ${url.pathname}`) {
    case 'GET /api/healthcheck':
      return sendJson(response, { service: 'dstack-runner', version: options.dstackVersion });
    case 'POST /api/submit':
      job.submit(parseSubmission(body));
      return sendJson(response, {});
    case 'POST /api/upload_code':
    case 'POST /api/upload_archive':
      return sendJson(response, {});
    case 'POST /api/run':
      job.start();
      return sendJson(response, { working_dir: findWorkingFolder(job.submission), username: 'root' });
    case 'GET /api/pull': {
      const report = job.reportSince(Number(url.searchParams.get('timestamp') ?? 0));
      return sendJson(response, { ...report, no_connections_secs: options.secondsWithoutConnection() });
    }
    case 'POST /api/stop':
      job.stop();
      return sendJson(response, {});
    case 'GET /api/metrics':
      return sendJson(response, measure(options));
    default:
      return sendJson(response, { error: 'not found' }, 404);
  }
}

function measure({ job, gpuCount, gpuUtilization, memoryBytes }: RunnerOptions): Record<string, unknown> {
  const nowMs = Date.now();
  const runningMs = nowMs - (job.runningSinceMs ?? nowMs);
  return {
    timestamp_micro: nowMs * 1000,
    // Half of one core.
    cpu_usage_micro: runningMs * 500,
    memory_usage_bytes: memoryBytes,
    memory_working_set_bytes: memoryBytes,
    gpus: Array.from({ length: gpuCount }, () => ({
      gpu_memory_usage_bytes: 10 * 2 ** 30,
      gpu_util_percent: gpuUtilization,
    })),
  };
}

function streamLogs(socket: LogSocket, job: Job, sinceMs: number): void {
  let position = 0;
  let isOver = false;
  const pump = (): void => {
    if (isOver) return;
    const entries = job.logsFrom(position);
    position += entries.length;
    for (const { timestamp, message } of entries) {
      if (timestamp >= sinceMs) socket.send(Buffer.from(message, 'base64'));
    }
    if (!job.isFinished) return;
    isOver = true;
    unsubscribe();
    socket.finish();
  };
  const unsubscribe = job.subscribe(pump);
  socket.on('close', unsubscribe);
  socket.on('error', unsubscribe);
  pump();
}
