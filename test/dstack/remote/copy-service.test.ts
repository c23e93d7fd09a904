import { mkdirSync, readdirSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { createDeadline, promiseWithResolvers } from '../../../src/core/waiting.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { PULL, PUSH } from '../../../src/remote/copy-scripts.ts';
import { CopyService } from '../../../src/remote/copy-service.ts';
import type { CopyCall, CopySources } from '../../../src/remote/copy-service.ts';
import type { Copied } from '../../../src/remote/copy-tree.ts';
import { Transfers } from '../../../src/remote/transfers.ts';
import { UseJournal } from '../../../src/safety/audit/use-journal.ts';
import type { AuditEntry } from '../../../src/safety/audit/audit-log.ts';
import type { PolicySnapshot } from '../../../src/safety/policy/policy-watch.ts';
import { createWorkspace } from '../../../src/safety/files/workspace.ts';
import { readFiles, setUpCopy, walk, writeFiles } from '../../support/set-up-copy.ts';
import type { CopySetupOptions } from '../../support/set-up-copy.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const RUN = { name: 'train', id: 'r1', status: 'running', isFinished: false, jobs: [] };
const PLACE = { server: 'http://127.0.0.1:3000', project: 'main', run: 'train' };

interface Options extends CopySetupOptions {
  readonly require?: CopySources['access']['require'];
  readonly claim?: CopySources['access']['claim'];
  readonly never?: string[];
  readonly assertDownloadAllowed?: PolicySnapshot['assertDownloadAllowed'];
  readonly workspace?: string;
  /** The id of the run that has the name. */
  readonly runId?: () => string;
}

const grant = {
  ...PLACE,
  runId: 'r1',
  deployment: 0,
  until: '',
  reachesServer: false,
  level: 'person-form',
  grantedAt: '',
  sinceBootMs: 0,
  file: '',
} as const;

/** Sets up the service of one server, whose calls are separate. */
function setUp(options: Options = {}) {
  const copy = setUpCopy(options);
  const lines: AuditEntry[] = [];
  const progress: string[] = [];
  const transfers = new Transfers<Copied>();
  const { shell } = copy.scope;
  const { runId = () => RUN.id } = options;
  const open = (call: { timeoutMs?: number; signal?: AbortSignal } = {}) =>
    new CopyService({
      workspace: createWorkspace({ folders: [options.workspace ?? copy.here], home: copy.here }),
      remote: {
        look: async () => ({ place: PLACE, run: RUN, runId: runId() }),
        connect: async () => ({ place: PLACE, run: RUN, runId: runId(), replica: 0, job: 0, shell }),
        dropOutdated: async () => undefined,
        use: (_session, work) => work(),
      },
      access: {
        require: options.require ?? (async () => ({ kind: 'granted', grant })),
        claim: options.claim ?? (async () => grant),
        journal: new UseJournal({ write: (entry) => void lines.push(entry) }),
      },
      transfers,
      cli: async () => ({ introspection: { walk }, env: { HOME: copy.here } }),
      policy: {
        snapshot: () => ({
          handOver: { folders: { never: options.never ?? [] } },
          assertDownloadAllowed: options.assertDownloadAllowed ?? (() => undefined),
        }),
      },
      settings: { maxCopyBytes: 1024 ** 3 },
      deadline: createDeadline({
        timeoutMs: call.timeoutMs ?? 60_000,
        signal: call.signal ?? new AbortController().signal,
        progress: (message) => void progress.push(message),
      }),
    });
  const call = (
    input: Pick<CopyCall, 'direction' | 'local' | 'remote'> & Partial<CopyCall>,
    how?: Parameters<typeof open>[0],
  ) => open(how).copy({ run: 'train', replace: false, ...input });
  return { ...copy, call, lines, progress, transfers };
}

const up = { direction: 'upload', local: 'src', remote: 'work' } as const;
const down = { direction: 'download', local: 'in', remote: 'out' } as const;

test('an upload is named to the gate with its size and state, and does nothing without consent', async () => {
  const asked: string[] = [];
  const report = { outcome: 'waiting-for-person', summary: 'Allow?', printed: [], facts: {} } as const;
  const { here, run, call, lines } = setUp({
    require: async ({ what, text }) => {
      asked.push(`${what}: ${text}`);
      return { kind: 'needs-consent', report };
    },
  });
  writeFiles(here, { 'src/a': '123', 'src/b': '4' });
  expect(await call(up)).toEqual({ kind: 'needs-consent', report });
  await call({ ...up, replace: true });
  writeFiles(here, { 'src/b': '5' });
  await call(up);
  const [first = '', second = '', third = ''] = asked;
  expect(first).toMatch(/^upload: upload \/\S+\/src \(2 files, 4 bytes, state [0-9a-f]{12}\) to work$/);
  expect(second).toBe(`${first}, replacing files`);
  expect(third).not.toBe(first);
  expect([readFiles(run), lines]).toEqual([{}, []]);
});

test('a download needs no consent; both have audit lines before and after, with the consent of an upload', async () => {
  const asked: unknown[] = [];
  const { here, run, call, lines } = setUp({
    require: async (use) => {
      asked.push(use);
      return { kind: 'granted', grant };
    },
  });
  writeFiles(here, { 'src/a': '123' });
  writeFiles(run, { 'out/b': '4567' });
  expect(await call(up)).toMatchObject({ kind: 'done', copied: { files: 1 } });
  expect(await call(down)).toMatchObject({ kind: 'done', copied: { files: 1 } });
  await expect(call({ ...down, remote: 'nowhere' })).rejects.toMatchObject({ code: 'file-not-found' });
  expect(asked).toHaveLength(1);
  expect(lines).toMatchObject([
    { event: 'started', tool: 'copy', operation: 'upload', level: 'person-form' },
    { event: 'ended', outcome: 'done', bytes: 3, level: 'person-form' },
    { event: 'started', operation: 'download' },
    { event: 'ended', outcome: 'done', bytes: 4 },
    { event: 'started', operation: 'download' },
    { event: 'ended', outcome: 'failed', why: expect.stringContaining('There is no nowhere') },
  ]);
  expect(lines[2]).not.toMatchObject({ level: expect.anything() });
});

test('a download is refused before anything is run where the policy forbids it', async () => {
  const scripts: string[] = [];
  const { here, run, call, lines } = setUp({
    onStart: (program) => {
      scripts.push(program.script);
      return program;
    },
    assertDownloadAllowed: ({ name, project }) => {
      throw new ToolError('policy', `${name} of ${project}`, '');
    },
  });
  writeFiles(run, { 'out/b': '1' });
  await expect(call(down)).rejects.toMatchObject({ code: 'policy', message: 'train of main' });
  expect([readFiles(here), lines, scripts]).toEqual([{}, [], []]);
});

describe('a download from a place with secrets', () => {
  const report = { outcome: 'done', summary: 'Allow?', printed: [], facts: {}, details: ['project: main'] } as const;
  const setUpSecrets = (isGranted: boolean) => {
    const asked: string[] = [];
    const service = setUp({
      require: async ({ what, text }) => {
        asked.push(`${what}: ${text}`);
        return isGranted ? { kind: 'granted', grant } : { kind: 'needs-consent', report };
      },
    });
    writeFiles(service.run, { 'out/.aws/credentials': 'SECRET', '.env': 'SECRET', 'dstack/profile': '1', 'a/.x': 'x' });
    symlinkSync('/proc/sys/kernel', path.join(service.run, 'link'));
    symlinkSync('out/.aws', path.join(service.run, 'aws'));
    return { ...service, asked };
  };

  test.each([
    ['/proc/version', 'it is in /proc'],
    ['/etc/hostname', 'it is in /etc'],
    ['/etc', 'it is in /etc'],
    ['link', 'it is in /proc'],
    ['link/hostname', 'it is in /proc'],
    ['out/.aws', 'a name in its path begins with a dot'],
    ['aws', 'a name in its path begins with a dot'],
    ['aws/credentials', 'a name in its path begins with a dot'],
    ['.env', 'a name in its path begins with a dot'],
  ])('needs consent: %s', async (remote, why) => {
    const { here, call, asked, lines } = setUpSecrets(false);
    const download = call({ direction: 'download', local: 'in', remote });
    expect(await download).toEqual({
      kind: 'needs-consent',
      report: { ...report, details: [`this download needs consent, because ${why}`, 'project: main'] },
    });
    expect(asked).toEqual([`download: download ${remote} to ${path.join(here, 'in')} (${why})`]);
    expect(readFiles(here)).toEqual({});
    expect(lines.at(-1)).toMatchObject({ event: 'ended', outcome: 'failed', why: `It needs consent: ${why}.` });
  });

  test('is done with the consent, which the audit log has', async () => {
    const { here, call, lines } = setUpSecrets(true);
    expect(await call({ direction: 'download', local: 'in', remote: 'aws/credentials' })).toMatchObject({
      kind: 'done',
    });
    expect(readFiles(here)).toEqual({ in: 'SECRET' });
    expect(lines.at(-1)).toMatchObject({ event: 'ended', outcome: 'done', level: 'person-form' });
  });

  test('is not that of a folder with hidden names, which are left out', async () => {
    const { here, call, asked } = setUpSecrets(false);
    expect(await call({ direction: 'download', local: 'in', remote: 'a' })).toMatchObject({
      copied: { leftOut: [{ name: '.x', why: 'its name begins with a dot' }] },
    });
    expect([readFiles(here), asked]).toEqual([{ in: 'folder' }, []]);
  });

  test('is not that of another folder of the same name', async () => {
    const { call, asked } = setUpSecrets(false);
    expect(await call({ direction: 'download', local: 'in', remote: 'dstack/profile' })).toMatchObject({
      kind: 'done',
    });
    expect(asked).toEqual([]);
  });
});

test('an upload whose consent ends while its run is connected to copies nothing', async () => {
  const claimed: unknown[] = [];
  const { here, run, call, lines } = setUp({
    claim: (use) => {
      claimed.push(use);
      throw new ToolError('consent-missing', 'It ended.', 'x');
    },
  });
  writeFiles(here, { 'src/a': '123' });
  await expect(call({ ...up, replica: 1, job: 2 })).rejects.toMatchObject({ code: 'consent-missing' });
  expect(claimed).toMatchObject([{ what: 'upload', replica: 1, job: 2 }]);
  expect([readFiles(run), lines]).toEqual([{}, []]);
});

test('nothing is copied if the audit log cannot be written', async () => {
  const { here, run, call, lines } = setUp();
  Object.defineProperty(lines, 'push', {
    value: () => {
      throw new ToolError('audit-unavailable', 'full', 'x');
    },
  });
  writeFiles(here, { 'src/a': '1' });
  await expect(call(up)).rejects.toMatchObject({ code: 'audit-unavailable' });
  expect(readFiles(run)).toEqual({});
});

test('a copy that takes longer than its call goes on, and the same call waits for it', async () => {
  const started = promiseWithResolvers<void>();
  const { here, run, call, lines } = setUp({
    onStart: ({ script, data }) => {
      if (script !== PULL) return { script, data };
      started.resolve();
      return { script: `while [ ! -e go ]; do sleep 0.05; done\n${script}`, data };
    },
  });
  writeFiles(run, { 'out/b': '4567' });
  const first = call(down, { timeoutMs: 2_500 });
  await started.promise;
  expect(await first).toMatchObject({ kind: 'running' });
  const second = call(down);
  writeFileSync(path.join(run, 'go'), '');
  expect(await second).toMatchObject({ kind: 'done', copied: { files: 1 } });
  expect(lines.map(({ event }) => event)).toEqual(['started', 'ended']);
  writeFiles(run, { 'out/c': '8' });
  expect(await call(down)).toMatchObject({ kind: 'done', copied: { files: 1, same: 1 } });
  expect(readFiles(here)).toMatchObject({ 'in/b': '4567', 'in/c': '8' });
});

test('the end of an upload is returned by the same call, and not for a later run of the same name', async () => {
  const started = promiseWithResolvers<void>();
  let runId = 'r1';
  const { here, run, call, lines } = setUp({
    runId: () => runId,
    onStart: ({ script, data }) => {
      if (script !== PUSH) return { script, data };
      started.resolve();
      return { script: `while [ ! -e go ]; do sleep 0.05; done\n${script}`, data };
    },
  });
  writeFiles(here, { 'src/a': '123' });
  const first = call(up, { timeoutMs: 2_500 });
  await started.promise;
  expect(await first).toMatchObject({ kind: 'running' });
  writeFileSync(path.join(run, 'go'), '');
  await expect.poll(() => lines).toHaveLength(2);
  runId = 'r2';
  rmSync(path.join(run, 'work'), { recursive: true, force: true });
  expect(await call(up)).toMatchObject({ kind: 'done', copied: { files: 1 } });
  expect(readFiles(run)).toMatchObject({ 'work/a': '123' });
  runId = 'r1';
  expect(lines).toHaveLength(4);
  expect(await call(up)).toMatchObject({ kind: 'done', copied: { files: 1 } });
  expect(lines).toHaveLength(4);
});

test.each(['the call is canceled', 'the server ends'] as const)(
  'if %s, the copy ends, and nothing of it is left',
  async (why) => {
    const started = promiseWithResolvers<void>();
    const { here, run, call, transfers, lines } = setUp({
      onStart: (program) => {
        if (program.script !== PULL) return program;
        started.resolve();
        return { script: 'while read -r line; do :; done; sleep 600 </dev/null & wait', data: [] };
      },
    });
    writeFiles(run, { 'out/b': '4567' });
    const cancel = new AbortController();
    const ended = call(down, { signal: cancel.signal }).catch((error: unknown) => error);
    await started.promise;
    if (why === 'the server ends') await transfers.close();
    else cancel.abort();
    expect(await ended).toMatchObject({ code: 'cancelled' });
    expect(readFiles(here)).toEqual({});
    expect(lines.at(-1)).toMatchObject({ event: 'ended', outcome: 'failed' });
  },
);

test('pictures are returned if their bytes are those of one, whatever their names say', async () => {
  const { run, call } = setUp();
  const png = Buffer.from('89504e470d0a1a0a00', 'hex');
  writeFiles(run, {
    'out/a.png': png,
    'out/b.png': 'text',
    'out/c.txt': png,
    'out/d.png': Buffer.concat([png, Buffer.alloc(500_000)]),
  });
  expect(await call(down)).toMatchObject({
    kind: 'done',
    pictures: [{ mimeType: 'image/png', data: png.toString('base64') }],
  });
});

test.each([
  ['..', 'outside-workspace'],
  ['/etc', 'outside-workspace'],
  ['a/../../b', 'outside-workspace'],
  ['link/x', 'outside-workspace'],
  ['.git/hooks/x', 'invalid-file'],
  ['sub/.envrc', 'invalid-file'],
  ['x.dstack.yml', 'invalid-file'],
  ['docs/AGENTS.md', 'invalid-file'],
  ['QWEN.md', 'invalid-file'],
  ['AGENT\u017f.md', 'invalid-file'],
  ['opencode.jsonc', 'invalid-file'],
  ['x.dstac\u212a.yml', 'invalid-file'],
  ['.', 'invalid-file'],
])('nothing is downloaded to %s', async (local, code) => {
  const { here, run, call } = setUp();
  writeFiles(run, { 'out/.envrc': 'x', plain: 'x' });
  symlinkSync(emptyFolder(), path.join(here, 'link'));
  const remote = local === '.' ? 'out/.envrc' : 'plain';
  await expect(call({ direction: 'download', local, remote })).rejects.toMatchObject({ code });
  expect(readFiles(here)).toEqual({ link: 'link' });
});

test.each([
  ['../x', 'outside-workspace'],
  ['/etc/passwd', 'outside-workspace'],
  ['link', 'outside-workspace'],
  ['.env', 'invalid-file'],
  ['r/.git', 'invalid-file'],
  ['r/.git/config', 'invalid-file'],
  ['r/.GIT/config', 'invalid-file'],
  ['to-git', 'invalid-file'],
  ['to-git/config', 'invalid-file'],
  ['missing', 'file-not-found'],
])('%s is not uploaded', async (local, code) => {
  const { here, run, call } = setUp();
  writeFiles(here, { '.env': 'SECRET=1', 'r/.git/config': 'token', 'r/.GIT/config': 'token' });
  symlinkSync('r/.git', path.join(here, 'to-git'));
  symlinkSync('/etc/passwd', path.join(here, 'link'));
  await expect(call({ direction: 'upload', local, remote: 'x' })).rejects.toMatchObject({ code });
  expect(readFiles(run)).toEqual({});
});

test("nothing of the policy's folders is uploaded", async () => {
  const { here, call } = setUp({ never: ['~/src/secret'] });
  writeFiles(here, { 'src/secret/key': 'x', 'src/a': '1' });
  await expect(call(up)).rejects.toMatchObject({ code: 'policy' });
  await expect(call({ ...up, local: 'src/secret/key' })).rejects.toMatchObject({ code: 'policy' });
  expect(await call({ ...up, local: 'src/a' })).toMatchObject({ kind: 'done' });
});

test.each(['a\u001b[2J', 'a\nb', 'a\u202eb', 'out/../../x'])('the path %j in a run is refused', async (remote) => {
  const { here, call } = setUp();
  mkdirSync(path.join(here, 'src'));
  await expect(call({ ...up, remote })).rejects.toMatchObject({ code: 'invalid-value' });
  await expect(call({ ...down, remote })).rejects.toMatchObject({ code: 'invalid-value' });
});

test.each(['$(touch evil)', '`touch evil`', "'; touch evil; '", '-rf', '--checkpoint-action=exec=sh', '*', 'a b'])(
  'the path %j in a run is only a name',
  async (name) => {
    const { here, run, call } = setUp();
    writeFiles(here, { 'src/a': '1' });
    expect(await call({ ...up, remote: name })).toMatchObject({ kind: 'done' });
    expect(await call({ direction: 'download', local: 'back', remote: name })).toMatchObject({ copied: { files: 1 } });
    expect(readFiles(run)).toEqual({ [name]: 'folder', [`${name}/a`]: '1' });
  },
);

test('a workspace that does not exist yet is created, and nothing is written next to it', async () => {
  const parent = realpathSync(emptyFolder());
  const seen: string[] = [];
  const { run, call } = setUp({
    workspace: path.join(parent, 'dstack'),
    onStart: (program) => {
      if (program.script === PULL) seen.push(...readdirSync(parent));
      return program;
    },
  });
  writeFiles(run, { out: '1' });
  await call({ direction: 'download', local: 'in', remote: 'out' });
  expect(seen).toEqual(['dstack']);
  expect(readFiles(parent)).toEqual({ dstack: 'folder', 'dstack/in': '1' });
});
