import { askModel } from './model-server.ts';
import type { App, AppReply, ModelBehavior } from './scenarios.ts';

/** Creates the application on a task's port. It answers every request with a greeting. */
export function createHelloApp(runName: string): App {
  return ({ path }) => text(`hello from ${runName} ${path}\n`);
}

/** Creates the application of a service, with the OpenAI chat API if it serves a model. */
export function createServiceApp(runName: string, model: string | undefined, behavior: ModelBehavior = {}): App {
  return async (request) => {
    const path = request.path.split('?')[0] ?? '/';
    if (path === '/health') return { headers: { 'content-type': 'application/json' }, body: '{"status":"ok"}' };
    const answer = model === undefined ? undefined : await askModel({ ...request, path }, { model, behavior });
    return answer ?? text(`${runName} ${request.path}\n`);
  };
}

function text(body: string): AppReply {
  return { headers: { 'content-type': 'text/plain; charset=utf-8' }, body };
}
