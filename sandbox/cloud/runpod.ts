import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import type { CloudService } from './cloud-service.ts';

const volumeRequest = z.object({ name: z.string(), size: z.number(), dataCenter: z.string() });

/** What any query is answered with; dstack 0.19 asks for the kinds of GPUs before it does anything. */
const ACCOUNT = { myself: { id: 'user', email: 'sandbox@example.test' }, gpuTypes: [] };

/** Plays api.runpod.io as far as network volumes need it. */
export function createRunPod(): CloudService {
  const volumes = new Map<string, z.infer<typeof volumeRequest> & { id: string }>();
  return ({ method, path, body }) => {
    if (path === '/graphql') return { status: 200, json: { data: ACCOUNT } };
    const [, kind, id] = /^\/v2\/(network-volumes)(?:\/(.+))?$/.exec(path) ?? [];
    if (kind === undefined) return { status: 200, json: [] };
    if (method === 'POST') {
      const volume = { ...volumeRequest.parse(body), id: `volume${randomBytes(4).toString('hex')}` };
      volumes.set(volume.id, volume);
      return { status: 201, json: volume };
    }
    if (id === undefined) return { status: 200, json: [...volumes.values()] };
    const volume = volumes.get(id);
    if (volume === undefined)
      return { status: 404, json: { title: 'Not Found', status: 404, detail: 'volume not found' } };
    if (method !== 'DELETE') return { status: 200, json: volume };
    volumes.delete(id);
    return { status: 204 };
  };
}
