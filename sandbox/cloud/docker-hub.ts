import { createHash } from 'node:crypto';
import type { CloudService } from './cloud-service.ts';

const config = JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Cmd: ['/bin/sh'] } });
const manifest = JSON.stringify({
  schemaVersion: 2,
  mediaType: 'application/vnd.docker.distribution.manifest.v2+json',
  config: { mediaType: 'application/vnd.docker.container.image.v1+json', size: config.length, digest: digest(config) },
  layers: [],
});

/** Simulates index.docker.io: every image exists, unless its name contains `no-such`. */
export const answerAsDockerHub: CloudService = ({ path }) => {
  if (path.includes('/manifests/')) {
    if (path.includes('no-such')) {
      return { status: 404, json: { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }] } };
    }
    const type = 'application/vnd.docker.distribution.manifest.v2+json';
    return {
      status: 200,
      content: manifest,
      headers: { 'content-type': type, 'docker-content-digest': digest(manifest) },
    };
  }
  if (path.includes('/blobs/')) return { status: 200, content: config };
  return { status: 200, json: {} };
};

function digest(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}
