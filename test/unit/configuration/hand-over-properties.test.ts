import { mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { judgeHandOver } from '../../../src/configuration/judge-hand-over.ts';
import type { HandOverScope, JudgedHandOver } from '../../../src/configuration/judge-hand-over.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { propertyRuns } from '../../support/effort.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const root = realpathSync(emptyFolder());
const at = (...parts: string[]): string => path.join(root, ...parts);
for (const folder of ['ws/sub/deep', 'home/.ssh', 'out/folder']) mkdirSync(at(folder), { recursive: true });
for (const file of ['ws/a.txt', 'ws/sub/b.txt', 'out/secret.txt', 'out/folder/c.txt']) writeFileSync(at(file), 'text');
for (const file of ['ws/key', 'home/.ssh/id', 'out/key']) writeFileSync(at(file), 'a key');
for (const [target, link] of [
  ['out', 'ws/out'],
  ['out/secret.txt', 'ws/sub/leak'],
  ['ws/sub', 'ws/inner'],
  ['missing', 'ws/broken'],
] as const)
  symlinkSync(at(target), at(link));

function keyIn(file: string): string | null {
  try {
    return readFileSync(file, 'utf8') === 'a key' ? `key in ${realpathSync(file)}` : null;
  } catch {
    return null;
  }
}

/** dstack's answers: each URL is a repository with a token, and each file with this text is a key. */
const introspection: HandOverScope['cli']['introspection'] = {
  walk: async () => undefined,
  workTrees: async () => undefined,
  credentials: async ({ repositories, keys }) => ({
    repositories: repositories.map((url) => ({
      host: 'git.example',
      url,
      cloneUrls: [url],
      credentials: [{ kind: 'token', path: '~/.config/gh/hosts.yml', sha256: `token of ${url}` }],
    })),
    keys: keys.map(keyIn),
  }),
};

const segment = fc.constantFrom('sub', 'deep', 'out', 'inner', 'leak', 'broken', 'folder', '..', '.', 'b.txt', 'key');
const start = fc.constantFrom('', '', './', '~/', '~/.ssh/', '~root/', '/', `${at('ws')}/`, `${at('out')}/`, '../');
const localPath = fc
  .tuple(start, fc.array(segment, { maxLength: 3 }))
  .map(([from, parts]) => `${from}${parts.join('/')}` || '.');
const url = fc.constantFrom('https://git.example/a', 'ssh://git@git.example/b', 'https://other.example/c');

const host = fc.oneof(
  fc.constant('10.0.0.1'),
  fc.record({ hostname: fc.constant('10.0.0.2'), identity_file: localPath }, { requiredKeys: ['hostname'] }),
  fc.record({
    hostname: fc.constant('10.0.0.3'),
    proxy_jump: fc.record({ hostname: fc.constant('10.0.0.4'), identity_file: localPath }),
  }),
);
const configuration = fc.record(
  {
    type: fc.constantFrom('task', 'service', 'dev-environment', 'fleet'),
    files: fc.array(
      fc.oneof(
        localPath,
        localPath.map((one) => ({ local_path: one, path: '/x' })),
      ),
      { maxLength: 2 },
    ),
    repos: fc.array(
      fc.oneof(
        url,
        url.map((one) => ({ url: one })),
      ),
      { maxLength: 1 },
    ),
    ssh_config: fc.record(
      { identity_file: localPath, hosts: fc.array(host, { maxLength: 2 }) },
      { requiredKeys: ['hosts'] },
    ),
  },
  { requiredKeys: ['type'] },
);

/** Whether the kernel, at the path that dstack opens, arrives outside of the workspace. Another user's home counts, too. */
function leadsOut(named: string): boolean {
  const [first, ...rest] = named.split('/').filter((part) => part !== '' && part !== '.');
  if (!named.startsWith('/') && first?.startsWith('~') === true && first !== '~') return true;
  const opened =
    !named.startsWith('/') && first === '~'
      ? at('home', ...rest)
      : path.isAbsolute(named)
        ? named
        : `${at('ws')}/${named}`;
  try {
    const real = realpathSync(opened);
    return real !== at('ws') && !real.startsWith(`${at('ws')}/`);
  } catch {
    return false;
  }
}

const namedFiles = (value: {
  readonly files?: readonly (string | { readonly local_path: string })[];
}): readonly string[] => (value.files ?? []).map((one) => (typeof one === 'string' ? one : one.local_path));

async function judge(
  value: Readonly<Record<string, unknown>>,
  isAgreed: HandOverScope['isAgreed'],
): Promise<JudgedHandOver | ToolError> {
  try {
    return await judgeHandOver(
      {
        cli: { env: { HOME: at('home'), USERPROFILE: at('home') }, introspection },
        folders: [at('ws')],
        policy: { readOnly: false, handOver: {} },
        isAgreed,
        server: 'https://dstack.example',
        maxUploadBytes: 1024 ** 2,
      },
      {
        file: { realPath: at('ws/run.dstack.yml'), relativePath: 'run.dstack.yml', folder: at('ws') },
        value,
        environment: { given: [], inherited: [] },
      },
    );
  } catch (error) {
    if (error instanceof ToolError) return error;
    throw error;
  }
}

test('whatever a configuration names, no file outside is sent, and no host or credential without consent', async () => {
  await fc.assert(
    fc.asyncProperty(configuration, async (value) => {
      const judged = await judge(value, async () => false);
      const isRefused = judged instanceof ToolError;
      const asks = /identity_file/.test(JSON.stringify(value)) || (value.repos ?? []).length > 0;
      expect({
        isRefused,
        why: isRefused && !['outside-workspace', 'invalid-file'].includes(judged.code) ? judged.code : '',
        credentials: isRefused ? [] : judged.credentials,
        asks: isRefused ? asks : judged.mustAsk && judged.open.length > 0,
      }).toEqual({
        // What isn't a key, or leads to two places, is refused as well.
        isRefused: namedFiles(value).some(leadsOut) || isRefused,
        why: '',
        credentials: [],
        asks,
      });
    }),
    { numRuns: propertyRuns(200) },
  );
});

test('what is admitted after consent is exactly what the question named', async () => {
  await fc.assert(
    fc.asyncProperty(configuration, async (value) => {
      const asked = await judge(value, async () => false);
      if (asked instanceof ToolError) return;
      const agreed = await judge(value, async () => true);
      expect(agreed).toMatchObject({ open: [], mustAsk: false });
      if (agreed instanceof ToolError) return;
      expect(new Set(agreed.credentials.map(({ sha256 }) => sha256))).toEqual(
        new Set(asked.open.flatMap(({ credentials }) => credentials)),
      );
      // A consent to all but one leaves that one open.
      const [first] = asked.open;
      const partial = await judge(value, async ({ subject }) => subject !== first?.subject);
      expect(partial).toMatchObject({ open: asked.open.filter(({ subject }) => subject === first?.subject) });
    }),
    { numRuns: propertyRuns(200) },
  );
});
