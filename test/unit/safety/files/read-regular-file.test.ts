import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { readRegularFile } from '../../../../src/safety/files/read-regular-file.ts';
import { createWorkspace } from '../../../../src/safety/files/workspace.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

const folder = realpathSync(emptyFolder());
const at = (...parts: string[]): string => path.join(folder, ...parts);
mkdirSync(at('.dstack'));
writeFileSync(at('file'), 'four');
writeFileSync(at('.dstack', 'profiles.yml'), 'profiles: []\n');
symlinkSync(at('file'), at('link'));
symlinkSync(folder, at('up'));

test('a regular file is read whole', async () => {
  expect(await readRegularFile(at('file'), 4)).toEqual({ kind: 'read', bytes: Buffer.from('four') });
});

test.each([
  ['a missing file', 'missing', 100, { kind: 'missing', reason: 'it does not exist' }],
  ['a file below a file', 'file/x', 100, { kind: 'missing', reason: 'it does not exist' }],
  ['a link', 'link', 100, { kind: 'link', reason: 'it is a link' }],
  ['a folder', '.dstack', 100, { kind: 'not-regular', reason: 'it is not a regular file' }],
  ['a larger file', 'file', 3, { kind: 'too-large', reason: 'it is larger than 3 bytes' }],
  ['a file behind a link', 'up/file', 100, { kind: 'moved', reason: 'it was replaced while it was being read' }],
])('%s is not read', async (_what, file, maxBytes, expected) => {
  expect(await readRegularFile(at(file), maxBytes)).toEqual(expected);
});

test('profiles have a hash each, and the texts of those that exist', async () => {
  const workspace = createWorkspace({ folders: [folder], home: at('home') });
  const { hashes, texts } = await workspace.readProfiles(folder);
  expect(texts).toEqual(['profiles: []\n']);
  expect(Object.values(hashes).map((hash) => (hash === 'absent' ? hash : hash.length))).toEqual([
    64,
    'absent',
    'absent',
    'absent',
  ]);
  expect(await workspace.hashProfiles(folder)).toEqual(hashes);
  workspace.use([at('other')]);
  expect(workspace.folders).toEqual([at('other')]);
});
