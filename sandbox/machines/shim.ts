import { createServer } from 'node:http';
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { z } from 'zod';
import { readBody, sendJson } from './http-json.ts';
import type { Task } from './task.ts';

const taskRequestSchema = z.looseObject({
  id: z.string(),
  name: z.string(),
  network_mode: z.string(),
  gpu: z.number().default(0),
  /** Public keys that the container accepts. */
  container_ssh_keys: z.array(z.string()).default([]),
});
const terminateSchema = z.looseObject({
  termination_reason: z.string().default(''),
  termination_message: z.string().default(''),
});

/** The server's request to start a task. */
export type TaskRequest = z.output<typeof taskRequestSchema>;

/** Options for a simulated shim. */
export interface ShimOptions {
  readonly dstackVersion: string;
  readonly hasGpu: boolean;
  readonly tasks: Map<string, Task>;
  readonly createTask: (request: TaskRequest) => Task;
  readonly onEvent: (line: string) => void;
}

/** Creates the HTTP server with the shim API of a host. It never listens; connections are passed to it. */
export function createShim(options: ShimOptions): Server {
  return createServer((request, response) => {
    answer(request, response, options).catch((error: unknown) => {
      options.onEvent(`shim: ${String(error)}`);
      if (!response.headersSent) sendJson(response, { error: String(error) }, 500);
    });
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, options: ShimOptions): Promise<void> {
  const { dstackVersion: version, tasks } = options;
  const path = new URL(request.url ?? '/', 'http://shim').pathname;
  const body = await readBody(request);
  switch (`${request.method} ${path}`) {
    case 'GET /api/healthcheck':
      return sendJson(response, { service: 'dstack-shim', version });
    case 'GET /api/instance/health':
      return sendJson(response, { dcgm: null });
    case 'GET /api/instance/info':
      return sendJson(response, options.hasGpu ? { gpu_vendor: 'nvidia', gpu_driver_version: '550.54.15' } : {});
    case 'GET /api/components':
      return sendJson(response, {
        components: ['dstack-shim', 'dstack-runner'].map((name) => ({ name, version, status: 'installed' })),
      });
    case 'GET /api/tasks':
      return sendJson(response, { tasks: [...tasks.values()].map(({ id, status }) => ({ id, status })) });
    case 'POST /api/tasks':
      return startTask(response, taskRequestSchema.parse(JSON.parse(body)), options);
    default: {
      const [, id, action] = /^\/api\/tasks\/([^/]+)(?:\/(terminate|remove))?$/.exec(path) ?? [];
      const task = id === undefined ? undefined : tasks.get(id);
      if (!task) return sendJson(response, { error: 'not found' }, 404);
      return changeTask(response, task, { action, body, options });
    }
  }
}

function startTask(response: ServerResponse, request: TaskRequest, { tasks, createTask, onEvent }: ShimOptions): void {
  if (tasks.has(request.id)) return sendJson(response, { error: 'conflict' }, 409);
  tasks.set(request.id, createTask(request));
  onEvent(`task ${request.name} created`);
  sendJson(response, {});
}

function changeTask(
  response: ServerResponse,
  task: Task,
  { action, body, options }: { action: string | undefined; body: string; options: ShimOptions },
): void {
  if (action === undefined) return sendJson(response, task.describe());
  if (action === 'terminate') {
    const { termination_reason: reason, termination_message: message } = terminateSchema.parse(JSON.parse(body));
    task.terminate(reason, message);
    options.onEvent(`task ${task.name} terminated${reason === '' ? '' : ` (${reason})`}`);
  } else {
    task.terminate('', '');
    options.tasks.delete(task.id);
  }
  sendJson(response, {});
}
