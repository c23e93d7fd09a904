import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, realpathSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { ToolError } from '../../../../src/core/errors.ts';
import { readRegularFile } from '../../../../src/safety/files/regular-files.ts';
import { createWorkspace, fileKindOf, findPathProblem } from '../../../../src/safety/files/workspace.ts';
import { propertyRuns } from '../../../support/effort.ts';

// One folder contains everything: allowed folders, a sibling with a similar name, a home folder, and files outside.
const root = realpathSync(mkdtempSync(path.join(tmpdir(), 'workspace-')));
afterAll(() => rmSync(root, { recursive: true }));
const at = (...parts: string[]): string => path.join(root, ...parts);
for (const folder of ['ws/sub', 'ws/.dstack', 'ws-evil', 'home/.dstack', 'home/ws2', 'outside'])
  mkdirSync(at(folder), { recursive: true });
const TEXT = 'type: task\nname: train\ncommands: [nvidia-smi]\n';
for (const file of [
  'ws/train.dstack.yml',
  'ws/sub/serve.dstack.yaml',
  'ws/.dstack.yml',
  'ws/train.yml',
  'ws/xdstack.yml',
  'ws/notes.txt',
  'ws/.env',
  'ws/.envrc',
  'ws/prod.env',
  'ws/.dstack/profiles.yml',
  'ws-evil/train.dstack.yml',
  'outside/secret.dstack.yml',
  'outside/id_rsa',
  'home/ws2/own.dstack.yml',
]) {
  writeFileSync(at(file), TEXT);
}
symlinkSync(at('outside/secret.dstack.yml'), at('ws/link.dstack.yml'));
symlinkSync(at('outside/id_rsa'), at('ws/key.dstack.yml'));
symlinkSync(at('outside'), at('ws/out'));
symlinkSync(at('outside/not-there.dstack.yml'), at('ws/dangling.dstack.yml'));
symlinkSync('loop.dstack.yml', at('ws/loop.dstack.yml'));
symlinkSync('train.dstack.yml', at('ws/alias.dstack.yml'));
symlinkSync('/dev/zero', at('ws/zero.dstack.yml'));
symlinkSync('/proc/self/environ', at('ws/environ.dstack.yml'));
symlinkSync(at('ws'), at('home/ws-link'));
mkdirSync(at('ws/folder.dstack.yml'));
writeFileSync(at('ws/huge.dstack.yml'), 'x'.repeat(1_000_001));
writeFileSync(at('ws/just.dstack.yml'), 'x'.repeat(1_000_000));

const workspace = createWorkspace({ folders: [at('ws'), at('home/ws2')], home: at('home') });

async function refusal(promise: Promise<unknown>): Promise<ToolError> {
  const error = await promise.then(
    (value) => new Error(`was allowed: ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  );
  if (error instanceof ToolError) return error;
  throw error;
}

test.each([
  ['train.dstack.yml', 'ws/train.dstack.yml', 'train.dstack.yml'],
  ['./train.dstack.yml', 'ws/train.dstack.yml', 'train.dstack.yml'],
  ['sub//serve.dstack.yaml', 'ws/sub/serve.dstack.yaml', 'sub/serve.dstack.yaml'],
  ['.dstack.yml', 'ws/.dstack.yml', '.dstack.yml'],
  [at('ws/train.dstack.yml'), 'ws/train.dstack.yml', 'train.dstack.yml'],
  ['own.dstack.yml', 'home/ws2/own.dstack.yml', 'own.dstack.yml'],
  ['~/ws2/own.dstack.yml', 'home/ws2/own.dstack.yml', 'own.dstack.yml'],
  ['~/ws-link/train.dstack.yml', 'ws/train.dstack.yml', 'train.dstack.yml'],
  ['alias.dstack.yml', 'ws/train.dstack.yml', 'train.dstack.yml'],
])('%s is read as %s', async (file, real, relative) => {
  const read = await workspace.readConfiguration(file);
  expect(read).toMatchObject({ realPath: at(real), relativePath: relative.replaceAll('/', path.sep) });
  expect(path.join(read.folder, read.relativePath)).toBe(read.realPath);
  expect(read.bytes.toString()).toBe(TEXT);
  expect(read.sha256).toBe(createHash('sha256').update(TEXT).digest('hex'));
});

test.each([
  ['', 'empty'],
  ['../outside/secret.dstack.yml', '..'],
  ['sub/../train.dstack.yml', '..'],
  ['sub/..', '..'],
  [`${root}/ws/../outside/secret.dstack.yml`, '..'],
  ['..', '..'],
  ['/etc/passwd', 'outside the workspace'],
  ['/', 'outside the workspace'],
  [at('ws'), 'outside the workspace'],
  [at('ws-evil/train.dstack.yml'), 'outside the workspace'],
  [at('outside/secret.dstack.yml'), 'outside the workspace'],
  ['~/.dstack/config.yml', 'outside the workspace'],
  ['~root/train.dstack.yml', "another user's home"],
  ['~', 'outside the workspace'],
  ['link.dstack.yml', 'outside the workspace'],
  ['key.dstack.yml', 'outside the workspace'],
  ['out/secret.dstack.yml', 'outside the workspace'],
  ['out/new.dstack.yml', 'outside the workspace'],
  ['dangling.dstack.yml', "can't be resolved"],
  ['loop.dstack.yml', "can't be resolved"],
  ['zero.dstack.yml', 'devices'],
  ['environ.dstack.yml', 'processes'],
  ['/dev/zero', 'devices'],
  ['/dev/stdin', 'devices'],
  ['/proc/self/fd/0', 'processes'],
  ['/proc/self/cwd/train.dstack.yml', 'processes'],
  ['//proc/self/environ', 'processes'],
  ['/sys/kernel/notes', 'processes'],
  ['file:///etc/passwd', 'URL'],
  ['FILE:train.dstack.yml', 'URL'],
  ['https://evil.example/x.dstack.yml', 'URL'],
  ['train.dstack.yml\0.txt', 'control'],
  ['train\n.dstack.yml', 'control'],
  ['train\t.dstack.yml', 'control'],
  ['tr\u202eain.dstack.yml', 'invisible'],
  ['train\u200b.dstack.yml', 'invisible'],
  ['\u001b[2Jtrain.dstack.yml', 'control'],
  ['x'.repeat(5000), 'longer'],
  ['train.yml', 'is not a configuration (*.dstack.yml'],
  ['xdstack.yml', 'is not a configuration (*.dstack.yml'],
  ['notes.txt', 'is not a configuration (*.dstack.yml'],
  ['.env', 'is not a configuration (*.dstack.yml'],
  ['.dstack/profiles.yml', 'is not a configuration (*.dstack.yml'],
  ['train.dstack.yml/x', 'is not a configuration (*.dstack.yml'],
])('%j is not read', async (file, words) => {
  const error = await refusal(workspace.readConfiguration(file));
  expect(error.code).toMatch(/^(?:outside-workspace|not-a-configuration|file-not-found)$/);
  expect(error.message).toContain(words);
});

test.each([
  ['folder.dstack.yml', 'not a regular file'],
  ['huge.dstack.yml', 'larger than 1000000 bytes'],
])('%s is not a configuration', async (file, words) => {
  expect(await refusal(workspace.readConfiguration(file))).toMatchObject({
    code: 'invalid-file',
    message: expect.stringContaining(words),
  });
});

test('a file of the maximum size is read', async () => {
  expect((await workspace.readConfiguration('just.dstack.yml')).bytes).toHaveLength(1_000_000);
});

test('a missing file is distinguished from a forbidden one', async () => {
  expect(await refusal(workspace.readConfiguration('missing.dstack.yml'))).toMatchObject({ code: 'file-not-found' });
});

test.each(['.env', '.envrc'])('the env file %s is read, and no other name', async (file) => {
  expect((await workspace.readEnvFile(file)).bytes.toString()).toBe(TEXT);
  await Promise.all(
    ['train.dstack.yml', 'prod.env', 'notes.txt'].map(async (other) =>
      expect((await refusal(workspace.readEnvFile(other))).code).toBe('not-a-configuration'),
    ),
  );
});

test.each([
  ['new.dstack.yml', 'allowed', false],
  ['train.dstack.yml', 'allowed', true],
  ['.dstack.yml', 'allowed', true],
  ['sub/deeper/new.dstack.yaml', 'allowed', false],
  ['out/new.dstack.yml', 'outside-workspace', false],
  ['link.dstack.yml', 'outside-workspace', false],
  ['dangling.dstack.yml', 'outside-workspace', false],
  ['.env', 'not-a-configuration', false],
  ['.envrc', 'not-a-configuration', false],
  ['.dstack/profiles.yml', 'not-a-configuration', false],
  ['new.yml', 'not-a-configuration', false],
  ['../ws/new.dstack.yml', 'outside-workspace', false],
  [at('ws-evil/new.dstack.yml'), 'outside-workspace', false],
])('writing to %s: %s', async (file, verdict, exists) => {
  const resolved = await workspace.resolveForWrite(file).catch((error: unknown) => error);
  expect(resolved instanceof ToolError ? resolved.code : 'allowed').toBe(verdict);
  expect(typeof resolved === 'object' && resolved !== null && 'exists' in resolved && resolved.exists).toBe(exists);
});

test('no path reads a file outside the workspace', async () => {
  const part = fc.constantFrom(
    '..',
    '.',
    '',
    'ws',
    'out',
    'sub',
    'link.dstack.yml',
    'train.dstack.yml',
    'secret.dstack.yml',
    'home',
    'ws-evil',
    '~',
    root,
    '/',
    'outside',
    'ws-link',
  );
  await fc.assert(
    fc.asyncProperty(fc.array(part, { minLength: 1, maxLength: 6 }), async (parts) => {
      const read = await workspace.readConfiguration(parts.join('/')).catch((error: unknown) => {
        if (error instanceof ToolError) return undefined;
        throw error;
      });
      const real = read?.realPath ?? at('ws/train.dstack.yml');
      expect(real.startsWith(at('ws/')) || real.startsWith(at('home/ws2/'))).toBe(true);
      expect(realpathSync(real)).toBe(real);
    }),
    { numRuns: propertyRuns(100) },
  );
});

test('reading never follows a link at the end of the path, even one created in the meantime', async () => {
  expect((await readRegularFile(at('ws/link.dstack.yml'), 1_000)).kind).toBe('link');
  expect((await readRegularFile('/dev/zero', 1_000)).kind).toBe('not-regular');
});

test('a folder on the way that was replaced by a link is detected', async () => {
  mkdirSync(at('ws/swap'));
  writeFileSync(at('ws/swap/secret.dstack.yml'), TEXT);
  const { realPath } = await workspace.readConfiguration('swap/secret.dstack.yml');
  renameSync(at('ws/swap'), at('ws/was-swap'));
  symlinkSync(at('outside'), at('ws/swap'));
  expect((await readRegularFile(realPath, 1_000)).kind).toBe('moved');
  expect(await refusal(workspace.readConfiguration('swap/secret.dstack.yml'))).toMatchObject({
    code: 'outside-workspace',
  });
});

test('a file with a reported size of 0 is limited by its content', async () => {
  // Files in /proc report 0 bytes.
  expect((await readRegularFile(`/proc/${process.pid}/environ`, 3)).kind).toMatch(/too-large|missing/);
});

test('the profiles of the working directory and of the home folder are hashed, so that a token binds them', async () => {
  const before = await workspace.hashProfiles(at('ws'));
  expect(before).toEqual({
    [at('ws/.dstack/profiles.yml')]: createHash('sha256').update(TEXT).digest('hex'),
    [at('ws/.dstack/profiles.yaml')]: 'absent',
    [at('home/.dstack/profiles.yml')]: 'absent',
    [at('home/.dstack/profiles.yaml')]: 'absent',
  });
  writeFileSync(at('home/.dstack/profiles.yml'), 'profiles: []');
  const after = await workspace.hashProfiles(at('ws'));
  expect(after[at('home/.dstack/profiles.yml')]).toBe(createHash('sha256').update('profiles: []').digest('hex'));
});

test('a profile that cannot be hashed is refused', async () => {
  mkdirSync(at('ws/sub/.dstack/profiles.yml'), { recursive: true });
  expect(await refusal(workspace.hashProfiles(at('ws/sub')))).toMatchObject({ code: 'invalid-file' });
});

test('an allowed folder that is a link is resolved', async () => {
  const linked = createWorkspace({ folders: [at('home/ws-link')], home: at('home') });
  expect(await linked.readConfiguration('train.dstack.yml')).toMatchObject({
    realPath: at('ws/train.dstack.yml'),
    folder: at('ws'),
  });
});

test('a workspace that does not exist yet has no files', async () => {
  const missing = createWorkspace({ folders: [at('not-there')], home: at('home') });
  expect(await refusal(missing.readConfiguration('train.dstack.yml'))).toMatchObject({ code: 'file-not-found' });
});

test.each<[string, () => Promise<unknown>, string, string, string]>([
  [
    'a path that leads outside',
    () => workspace.readConfiguration('../x.dstack.yml'),
    'outside-workspace',
    'The path "../x.dstack.yml" is refused: it contains `..`. Nothing was read or written.',
    `Use a path inside ${at('ws')}, ${at('home/ws2')}, without \`..\`. The user can set other folders with DSTACK_MCP_WORKSPACE.`,
  ],
  [
    'a missing file',
    () => workspace.readConfiguration('none.dstack.yml'),
    'file-not-found',
    `There is no file none.dstack.yml in ${at('ws')}, ${at('home/ws2')}.`,
    'Check the path. The folders are set with DSTACK_MCP_WORKSPACE.',
  ],
  [
    'a folder',
    () => workspace.readConfiguration('folder.dstack.yml'),
    'invalid-file',
    'folder.dstack.yml was not read: it is not a regular file.',
    'It must be a regular file: a configuration (*.dstack.yml, *.dstack.yaml, .dstack.yml).',
  ],
  [
    'a file that is too large',
    () => workspace.readConfiguration('huge.dstack.yml'),
    'invalid-file',
    'huge.dstack.yml was not read: it is larger than 1000000 bytes.',
    'It must be a regular file: a configuration (*.dstack.yml, *.dstack.yaml, .dstack.yml).',
  ],
  [
    'another file as an env file',
    () => workspace.readEnvFile('notes.txt'),
    'not-a-configuration',
    '"notes.txt" is not an env file (.env, .envrc), and nothing else is read here. Nothing was read or written.',
    'config with action "find" lists the configurations; write_config creates one.',
  ],
  [
    'another file for writing',
    () => workspace.resolveForWrite('notes.txt'),
    'not-a-configuration',
    '"notes.txt" is not named like a configuration (*.dstack.yml, *.dstack.yaml, .dstack.yml), and nothing else is written. Nothing was read or written.',
    'config with action "find" lists the configurations; write_config creates one.',
  ],
  [
    'a link to itself',
    () => workspace.readConfiguration('loop.dstack.yml'),
    'outside-workspace',
    `The path ${JSON.stringify(at('ws/loop.dstack.yml'))} can't be resolved (ELOOP). Nothing was read or written.`,
    'Pass a path without broken links; config with action "find" lists the configurations.',
  ],
  [
    'a broken link',
    () => workspace.resolveForWrite('dangling.dstack.yml'),
    'outside-workspace',
    `The path ${JSON.stringify(at('ws/dangling.dstack.yml'))} can't be resolved (ENOENT). Nothing was read or written.`,
    'Pass a path without broken links; config with action "find" lists the configurations.',
  ],
])('%s is refused with the next step', async (_what, read, code, message, hint) => {
  expect(await refusal(read())).toMatchObject({ code, message, hint });
});

test('a tilde inside a name is an ordinary character', async () => {
  writeFileSync(at('ws/a~.dstack.yml'), TEXT);
  expect(await workspace.readConfiguration('a~.dstack.yml')).toMatchObject({ relativePath: 'a~.dstack.yml' });
});

test('an allowed folder or a path below a file is not a configuration', async () => {
  expect((await refusal(workspace.resolveForWrite(at('ws')))).code).toBe('outside-workspace');
  expect((await refusal(workspace.readConfiguration('train.dstack.yml/x.dstack.yml'))).code).toBe('file-not-found');
});

test('a profile is hashed, absent or refused, but never omitted', async () => {
  const other = createWorkspace({ folders: [at('ws')], home: at('outside') });
  expect(await other.hashProfiles(at('ws'))).toEqual({
    [at('ws/.dstack/profiles.yml')]: createHash('sha256').update(TEXT).digest('hex'),
    [at('ws/.dstack/profiles.yaml')]: 'absent',
    [at('outside/.dstack/profiles.yml')]: 'absent',
    [at('outside/.dstack/profiles.yaml')]: 'absent',
  });
  mkdirSync(at('odd/.dstack/profiles.yml'), { recursive: true });
  expect(await refusal(workspace.hashProfiles(at('odd')))).toMatchObject({
    code: 'invalid-file',
    message: `The profile file ${at('odd/.dstack/profiles.yml')} was not read: it is not a regular file.`,
    hint: 'Make it a regular, readable file.',
  });
});

test.each<[string, string, { kind: string; reason: string }]>([
  ['a missing file', 'ws/none', { kind: 'missing', reason: 'it does not exist' }],
  ['a path below a file', 'ws/notes.txt/x', { kind: 'missing', reason: 'it does not exist' }],
  ['a link', 'ws/alias.dstack.yml', { kind: 'link', reason: 'it is a link' }],
  ['a folder', 'ws/sub', { kind: 'not-regular', reason: 'it is not a regular file' }],
  ['a file that is too large', 'ws/huge.dstack.yml', { kind: 'too-large', reason: 'it is larger than 1000000 bytes' }],
  [
    'a name that is too long',
    `ws/${'x'.repeat(300)}`,
    { kind: 'unreadable', reason: "it can't be read (ENAMETOOLONG)" },
  ],
  [
    'a path through a link',
    'home/ws-link/notes.txt',
    { kind: 'moved', reason: 'it was replaced while it was being read' },
  ],
])('reading a regular file: %s', async (_what, file, found) => {
  expect(await readRegularFile(at(file), 1_000_000)).toEqual(found);
});

test('a file in /proc is limited by its content, not by the size that it reports', async () => {
  expect(await readRegularFile('/proc/version', 5)).toEqual({ kind: 'too-large', reason: 'it is larger than 5 bytes' });
});

test('a file is read to its last byte, up to the limit', async () => {
  const bytes = Buffer.from(TEXT);
  expect(await readRegularFile(at('ws/notes.txt'), bytes.length)).toEqual({ kind: 'read', bytes });
  expect((await readRegularFile(at('ws/notes.txt'), bytes.length - 1)).kind).toBe('too-large');
});

test('the content of a small file does not retain a large buffer', async () => {
  const read = await readRegularFile(at('ws/train.dstack.yml'), 1_000_000);
  const kept = read.kind === 'read' ? read.bytes.buffer.byteLength : undefined;
  expect(kept).toBeLessThan(20_000);
});

test.each<[string, NodeJS.Platform, RegExp | undefined]>([
  ['train.dstack.yml', 'linux', undefined],
  ['a b/ü.dstack.yml', 'linux', undefined],
  ['/home/u/x.dstack.yml', 'linux', undefined],
  ['/dev/shm/x.dstack.yml', 'linux', undefined],
  ['dev/x.dstack.yml', 'linux', undefined],
  ['/devel/x.dstack.yml', 'linux', undefined],
  ['..a/x.dstack.yml', 'linux', undefined],
  ['C:\\work\\x.dstack.yml', 'win32', undefined],
  ['C:/gpu/x.dstack.yml', 'win32', undefined],
  ['sub\\x.dstack.yml', 'win32', undefined],
  ['.\\x.dstack.yml', 'win32', undefined],
  ['   ', 'linux', /empty/],
  ['a/../b', 'linux', /\.\./],
  ['a\\..\\b', 'win32', /\.\./],
  ['/dev/tty', 'linux', /devices/],
  ['/proc', 'linux', /devices/],
  ['\\\\server\\share\\x.dstack.yml', 'win32', /network or device/],
  ['//server/share/x.dstack.yml', 'win32', /network or device/],
  ['\\\\?\\C:\\x.dstack.yml', 'win32', /network or device/],
  ['\\\\.\\PhysicalDrive0', 'win32', /network or device/],
  ['C:x.dstack.yml', 'win32', /drive without a folder/],
  ['x.dstack.yml:stream', 'win32', /URL|stream/],
  ['C:\\work\\x.dstack.yml:stream', 'win32', /stream/],
  ['NUL', 'win32', /device/],
  ['con.dstack.yml', 'win32', /device/],
  ['sub\\COM1.dstack.yml', 'win32', /device/],
  ['lpt¹.dstack.yml', 'win32', /device/],
  ['x.dstack.yml.', 'win32', /ends with a dot/],
  ['x.dstack.yml ', 'win32', /ends with a dot or a space/],
  ['sub.\\x.dstack.yml', 'win32', /ends with a dot/],
])('%j on %s', (text, platform, words) => {
  expect(findPathProblem(text, platform) ?? '').toMatch(words ?? /^$/);
});

test.each([
  ['train.dstack.yml', 'configuration'],
  ['sub/train.dstack.yaml', 'configuration'],
  ['.dstack.yml', 'configuration'],
  ['sub\\.dstack.yaml', 'configuration'],
  ['dstack.yml', undefined],
  ['train.dstack.yml.bak', undefined],
  ['train.dstack.ymlx', undefined],
  ['train.DSTACK.YML', undefined],
  ['.dstack/profiles.yml', 'profile'],
  ['a/.dstack/profiles.yaml', 'profile'],
  ['profiles.yml', undefined],
  ['.dstack/config.yml', undefined],
  ['.env', 'env'],
  ['a/.envrc', 'env'],
  ['prod.env', undefined],
  ['.env.local', undefined],
])('%s is of kind %s', (file, kind) => {
  expect(fileKindOf(file)).toBe(kind);
});

test.each<[string, NodeJS.Platform, string | undefined]>([
  ['a'.repeat(4096), 'linux', undefined],
  ['a'.repeat(4097), 'linux', 'it is longer than 4096 characters'],
  ['a\\..\\b', 'linux', undefined],
  ['NUL', 'linux', undefined],
  ['x.', 'linux', undefined],
  ['falcon.dstack.yml', 'win32', undefined],
  ['icon', 'win32', undefined],
  ['console.dstack.yml', 'win32', undefined],
  ['\\work\\x.dstack.yml', 'win32', undefined],
  ['a\\\\b', 'win32', undefined],
  ['ab:/x', 'win32', 'it is a URL, not a path'],
  ['x/a:/y', 'win32', 'it names a drive without a folder, or a data stream'],
  ['C:\\a:b', 'win32', 'it names a drive without a folder, or a data stream'],
  ['/home/proc', 'linux', undefined],
  ['/home/dev/x', 'linux', undefined],
  ['//proc/self', 'linux', 'it is in a folder of devices or processes'],
  ['//dev//shm/x', 'linux', undefined],
  ['/dev//shm/x', 'linux', undefined],
  ['/dev/shm', 'linux', 'it is in a folder of devices or processes'],
])('an edge case of the rules: %j on %s', (text, platform, problem) => {
  expect(findPathProblem(text, platform)).toBe(problem);
});

test.each([
  ['.dstack/profiles.yml.bak', undefined],
  ['.dstack/my-profiles.yml', undefined],
  ['.dstack/profiles.yaml', 'profile'],
  ['', undefined],
  ['x.dstack.yml.bak', undefined],
])('an edge case of the kinds: %j', (file, kind) => {
  expect(fileKindOf(file)).toBe(kind);
});
