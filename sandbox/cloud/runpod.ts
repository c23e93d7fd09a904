import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import type { CloudAnswer, CloudService } from './cloud-service.ts';

const volumeRequest = z.object({ name: z.string(), size: z.coerce.number(), dataCenter: z.string() });
const graphqlRequest = z.object({ query: z.string() });

interface Volume extends z.output<typeof volumeRequest> {
  readonly id: string;
}

/** Simulates network volumes of api.runpod.io: the REST API, and the GraphQL API for dstack before 0.22. */
export function createRunPod(): CloudService {
  const volumes = new Map<string, Volume>();
  return ({ method, path, body }) => {
    if (path === '/graphql') return answerGraphql(volumes, graphqlRequest.safeParse(body).data?.query ?? '');
    const [, kind, id] = /^\/v2\/(network-volumes)(?:\/(.+))?$/.exec(path) ?? [];
    if (kind === undefined) return { status: 200, json: [] };
    if (method === 'POST') return { status: 201, json: createVolume(volumes, body) };
    if (id === undefined) return { status: 200, json: [...volumes.values()] };
    const volume = volumes.get(id);
    if (volume === undefined)
      return { status: 404, json: { title: 'Not Found', status: 404, detail: 'volume not found' } };
    if (method !== 'DELETE') return { status: 200, json: volume };
    volumes.delete(id);
    return { status: 204 };
  };
}

function createVolume(volumes: Map<string, Volume>, wanted: unknown): Volume {
  const volume = { ...volumeRequest.parse(wanted), id: `volume${randomBytes(4).toString('hex')}` };
  volumes.set(volume.id, volume);
  return volume;
}

/** Answers dstack's queries, which contain their values, one per line: `name: "data"`. */
function answerGraphql(volumes: Map<string, Volume>, query: string): CloudAnswer {
  const value = (name: string): string | undefined => new RegExp(`\\b${name}: "?([^",\\s]+)`).exec(query)?.[1];
  const answer = (data: object): CloudAnswer => ({ status: 200, json: { data } });
  if (query.includes('createNetworkVolume')) {
    const wanted = { name: value('name'), size: value('size'), dataCenter: value('dataCenterId') };
    return answer({ createNetworkVolume: { id: createVolume(volumes, wanted).id } });
  }
  if (query.includes('deleteNetworkVolume')) {
    volumes.delete(value('id') ?? '');
    return answer({ deleteNetworkVolume: null });
  }
  const networkVolumes = [...volumes.values()].map(({ dataCenter, ...volume }) => ({
    ...volume,
    dataCenter: { id: dataCenter, name: dataCenter },
  }));
  // Answers all other queries; dstack 0.19 first asks for the GPU types.
  return answer({ myself: { id: 'user', email: 'sandbox@example.test', networkVolumes }, gpuTypes: [] });
}
