import { existsSync, linkSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { listHandOver } from '../../../src/configuration/hand-over.ts';
import { judgeHandOver } from '../../../src/configuration/judge-hand-over.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { isRecord } from '../../../src/core/values.ts';
import { hardenGit } from '../../../src/dstack/run/spawn-dstack.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { runPython } from '../../support/run-python.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';

const root = realpathSync(emptyFolder());
const at = (...parts: string[]): string => path.join(root, ...parts);
let runner: WarmRunner;

beforeAll(() => {
  const env = { PATH: process.env['PATH'] ?? '', HOME: root };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  const files = {
    'ws/.gitignore': 'ignored/\n.venv\n',
    'ws/.dstackignore': '*.big\n',
    'ws/a.txt': 'abc',
    'ws/.hidden': 'abc',
    'ws/data.big': 'abc',
    'ws/ignored/secret.txt': 'abc',
    'ws/.venv/config': 'abc',
    'ws/.git/config': '',
    'ws/sub/.git/config': '',
    'ws/sub/b.txt': 'abc',
    'more/c.txt': 'abc',
    'outside/secret.txt': 'secret',
  };
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(path.dirname(at(file)), { recursive: true });
    writeFileSync(at(file), text);
  }
  symlinkSync('/usr/bin/env', at('ws/.venv/python'));
  symlinkSync(at('more/c.txt'), at('ws/sub/link'));
});
afterAll(() => runner.close());

const judge = (value: Readonly<Record<string, unknown>>) =>
  judgeHandOver(
    {
      cli: { env: { HOME: root }, introspection: runner.introspection },
      folders: [at('ws'), at('more')],
      policy: { readOnly: false, handOver: {} },
      isAgreed: async () => false,
      server: 'https://dstack.example',
      maxUploadBytes: 1024 ** 2,
    },
    {
      file: { realPath: at('ws/run.dstack.yml'), relativePath: 'run.dstack.yml', folder: at('ws') },
      value,
      environment: { given: [], inherited: [] },
    },
  );

/** The names in the archive that dstack makes of a folder. */
const archive = (folder: string): Promise<unknown> =>
  runPython(`import io, tarfile
from dstack._internal.utils.files import create_file_archive
content = io.BytesIO()
create_file_archive(${JSON.stringify(folder)}, content)
content.seek(0)
print(json.dumps(sorted(one.name for one in tarfile.open(fileobj=content).getmembers())))`);

test.each(['ws', 'ws/sub', 'ws/a.txt'])(
  'the files that are judged are those that dstack sends for %s',
  async (folder) => {
    const listed = await runner.introspection.walk({ root: at(folder), limit: 100 });
    expect(listed?.map((file) => path.relative(path.dirname(at(folder)), file)).sort()).toEqual(
      await archive(at(folder)),
    );
  },
);

test('what dstack ignores is neither counted nor refused', async () => {
  expect((await judge({ files: ['.'] })).warnings[0]).toContain('planning sent 7 files (33 bytes) from .');
  // Named itself, it isn't ignored: its link leads out.
  expect(await judge({ files: ['.venv'] }).catch((error: unknown) => error)).toMatchObject({
    code: 'outside-workspace',
  });
});

/** The digest that the gate finds in what dstack uploads for a path. */
const uploaded = (folder: string): Promise<unknown> =>
  runPython(`import io, requests, request_contents
from dstack._internal.utils.files import create_file_archive
content = io.BytesIO()
name = create_file_archive(${JSON.stringify(folder)}, content)
content.seek(0)
request = requests.Request("POST", "http://x", files={"file": (name, content)}).prepare()
print(json.dumps(request_contents.archive_digest(request)))`);

test('the files that were checked are admitted as dstack sends them: links, other names, empty and large files', async () => {
  const write = (file: string, text: string): void => {
    mkdirSync(path.dirname(at(file)), { recursive: true });
    writeFileSync(at(file), text);
  };
  write('ws/kinds/a b/ünïcode 🜁.txt', 'abc');
  write(`ws/kinds/${'deep/'.repeat(30)}file`, 'abc');
  write('ws/kinds/empty', '');
  write('ws/kinds/large', 'x'.repeat(50_000));
  linkSync(at('ws/kinds/large'), at('ws/kinds/hard'));
  // Before Python 3.12, dstack fails on a link within the folder.
  symlinkSync('../a.txt', at('ws/kinds/out'));
  symlinkSync('kinds', at('ws/linked'));
  symlinkSync('a.txt', at('ws/linked-file'));
  const paths = ['kinds', 'kinds/', './linked', 'linked-file', 'a.txt', 'sub'];
  const { archives } = await judge({ files: paths });
  const sent = await Promise.all(paths.map((one) => uploaded(path.join(at('ws'), one))));
  expect(archives).toEqual(sent);
  expect(sent).toEqual(paths.map(() => expect.stringMatching(/^[0-9a-f]{64}$/)));
});

test('the branch and the uncommitted changes of a repository are those that dstack sends, and reading them runs nothing', async () => {
  const git = (...words: string[]) =>
    execa('git', ['-c', 'user.name=me', '-c', 'user.email=me@x', ...words], { cwd: at('code') });
  mkdirSync(at('code'));
  await execa('git', ['init', '--quiet', '--bare', at('remote.git')]);
  await git('init', '--quiet', '--initial-branch', 'fix/loss');
  writeFileSync(at('code/a.txt'), 'before\n');
  await git('add', '.');
  await git('commit', '--quiet', '--message', 'first');
  await git('remote', 'add', 'origin', at('remote.git'));
  await git('push', '--quiet', '--set-upstream', 'origin', 'fix/loss');
  await git('remote', 'set-url', 'origin', 'https://git.example/x');
  const read = async () => (await runner.introspection.workTrees([at('code'), at('ws/a.txt')])) ?? [];
  const { stdout: commit } = await git('rev-parse', 'HEAD');
  expect(await read()).toEqual([{ branch: 'fix/loss', commit, changedBytes: 0 }, null]);

  writeFileSync(at('code/a.txt'), 'after\n');
  writeFileSync(at('code/new.txt'), 'x'.repeat(2000));
  writeFileSync(at('monitor.sh'), `#!/bin/sh\ntouch ${at('ran')}\n`, { mode: 0o755 });
  await git('config', 'core.fsmonitor', at('monitor.sh'));
  const sent = await runPython(
    `from dstack._internal.core.models.repos.remote import RemoteRepo
print(json.dumps(len(RemoteRepo.from_dir(${JSON.stringify(at('code'))}).run_repo_data.repo_diff)))`,
    {
      env: hardenGit({}),
    },
  );
  expect(await read()).toMatchObject([{ changedBytes: sent }, null]);
  expect(Number(sent)).toBeGreaterThan(2000);
  expect(existsSync(at('ran'))).toBe(false);
});

test('a folder with too many files is refused, and the list of them is short', async () => {
  expect(await runner.introspection.walk({ root: at('ws'), limit: 3 })).toHaveLength(4);
});

test('a name that is not valid UTF-8 is refused: nobody can see where it leads', async () => {
  await runPython(`import os
os.makedirs(${JSON.stringify(at('ws/odd'))})
os.symlink(b"/etc/passwd", os.fsencode(${JSON.stringify(at('ws/odd'))}) + b"/\\xff")
print("null")`);
  const error: unknown = await judge({ files: ['odd'] }).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(ToolError);
  expect(error).toMatchObject({ code: 'outside-workspace' });
});

const ITEMS = [
  '.',
  'a:b',
  './a:/b',
  'C:/a:/b',
  '~/x',
  '../x:y',
  'https://h/x',
  'ssh://git@h/x:y',
  'git@h:x',
  'git@h:x:y',
];

test('paths and URLs are split as dstack splits them', async () => {
  const parsed = await runPython(`from dstack._internal.core.models.files import FilePathMapping
from dstack._internal.core.models.configurations import RepoSpec
items = ${JSON.stringify(ITEMS)}
def file(item):
    try:
        return FilePathMapping.parse(item).local_path
    except ValueError:
        return None
print(json.dumps([[file(item), RepoSpec.parse(item).local_path, RepoSpec.parse(item).url] for item in items]))`);
  const own = ITEMS.map((item) => {
    const { paths, remotes } = listHandOver({ repos: [item] });
    const [file] = listHandOver({ files: [item] }).paths;
    return [file?.path ?? null, paths[0]?.path ?? null, remotes[0] ?? null];
  });
  // What dstack rejects needn't be split in the same way.
  const comparable = own.map(([file, ...repository], index) => [
    Array.isArray(parsed) && Array.isArray(parsed[index]) && parsed[index][0] === null ? null : file,
    ...repository,
  ]);
  expect(comparable).toEqual(parsed);
});

/** Properties of dstack's schema that take something of this computer, or a credential. */
const KNOWN = new Set([
  'identity_file',
  'local_path',
  'password',
  'private',
  'registry_auth',
  'repos',
  'files',
  'ssh_key',
  'env',
  'key',
]);
/** Properties of the same sound that take nothing of this computer. */
const HARMLESS = new Set([
  'instance_path',
  'volume_path',
  'path',
  'repo',
  'tokens_per_second',
  'token',
  'profiles',
  'eos_token',
  'input_tokens',
  'output_tokens',
  'shared_prefix_tokens',
]);

test("every property of dstack's schema that sounds like a local file or a credential is known", async () => {
  const schemas = await runner.introspection.schemas();
  const names = new Set<string>();
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(visit);
    if (!isRecord(node)) return;
    for (const [name, inner] of Object.entries(isRecord(node['properties']) ? node['properties'] : {})) {
      const { description = '' } = isRecord(inner) ? inner : {};
      if (/file|path|key$|password|secret|token|private|credential|^env$|repo/.test(name)) names.add(name);
      if (/user's machine|private key/i.test(String(description))) names.add(name);
    }
    Object.values(node).forEach(visit);
  };
  visit([schemas?.configuration, schemas?.profiles]);
  expect([...names].filter((name) => !KNOWN.has(name) && !HARMLESS.has(name)).sort()).toEqual([]);
  expect([...names]).toEqual(expect.arrayContaining(['identity_file', 'local_path', 'password']));
});
