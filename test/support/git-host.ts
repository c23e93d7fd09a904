import { createServer } from 'node:https';
import { generate } from 'selfsigned';
import { listenOnLoopback } from './listen-on-loopback.ts';
import { uniqueName } from './test-home.ts';

/** A host of Git repositories on loopback, over HTTPS. */
export interface GitHost {
  /** The URL of its only repository. */
  readonly url: string;
  /** The requests so far: path, and the password if there was one. */
  readonly seen: readonly { readonly path: string; readonly password: string | undefined }[];
}

/** Starts a host whose repository opens with the token, or to anybody if there is none. It is stopped after the test. */
export async function startGitHost(token?: string): Promise<GitHost> {
  const { cert, private: key } = await generate([{ name: 'commonName', value: '127.0.0.1' }], { keyType: 'ec' });
  // dstack identifies a repository by its host and path, without the port.
  const repository = `/team/${uniqueName('code')}.git`;
  const seen: { path: string; password: string | undefined }[] = [];
  const files: Readonly<Record<string, string>> = {
    [`${repository}/info/refs`]: `${'1'.repeat(40)}\trefs/heads/main\n`,
    [`${repository}/HEAD`]: 'ref: refs/heads/main\n',
  };
  const server = createServer({ cert, key }, ({ url = '', headers }, response) => {
    const path = url.replace(/\?.*/, '');
    const [, encoded = ''] = /^Basic (.+)$/.exec(headers.authorization ?? '') ?? [];
    const password =
      encoded === ''
        ? undefined
        : Buffer.from(encoded, 'base64')
            .toString()
            .replace(/^[^:]*:/, '');
    seen.push({ path, password });
    if (token !== undefined && password !== token)
      response.writeHead(401, { 'www-authenticate': 'Basic realm="git"' }).end();
    else if (files[path] === undefined) response.writeHead(404).end();
    else response.writeHead(200, { 'content-type': 'text/plain' }).end(files[path]);
  });
  const port = await listenOnLoopback(server);
  return { url: `https://127.0.0.1:${port}${repository}`, seen };
}
