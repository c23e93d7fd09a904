import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { resolveAnywhere, resolveNamedPath } from '../../../../src/safety/files/named-path.ts';
import type { PathScope } from '../../../../src/safety/files/named-path.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

const root = realpathSync(emptyFolder());
const at = (...parts: string[]): string => path.join(root, ...parts);
for (const folder of ['work/deep/er', 'home', 'kept']) mkdirSync(at(folder), { recursive: true });
writeFileSync(at('work', 'file'), '');
writeFileSync(at('home', 'file'), '');
symlinkSync(at('kept', '..', 'home'), at('work', 'link'));
symlinkSync(at('work', 'deep', 'er'), at('work', 'jump'));

const scope: PathScope = {
  base: at('work'),
  folders: [at('work'), at('other')],
  home: at('home'),
  never: [at('kept')],
};

test.each([
  ['file', at('work', 'file')],
  ['./deep/../file', at('work', 'file')],
  [at('work', 'file'), at('work', 'file')],
])('a path in the workspace is resolved: %s', async (text, realPath) => {
  expect(await resolveNamedPath(text, scope)).toEqual({ path: realPath, realPath });
});

test.each(['~/file', './~/file', 'link/file'])(
  'a path that leads out is resolved for consent only: %s',
  async (text) => {
    expect((await resolveAnywhere(text, scope)).realPath).toBe(at('home', 'file'));
    await expect(resolveNamedPath(text, scope)).rejects.toMatchObject({
      code: 'outside-workspace',
      message: `The configuration names "${text}": it leads to ${at('home', 'file')}, which is outside the workspace. Nothing was run or sent.`,
      hint: expect.stringContaining(`only from ${at('work')}, ${at('other')}.`),
    });
  },
);

describe.skipIf(process.platform === 'win32')('a path that nobody can agree to', () => {
  test.each([
    ['~root/file', "another user's home folder is not read"],
    ['jump/../file', 'its `..` after a link leads to two different places'],
    ['/dev/null', 'it leads to /dev/null, a folder of devices or processes'],
  ])('is refused with the reason: %s', async (text, why) => {
    if (text.startsWith('jump')) writeFileSync(at('work', 'deep', 'file'), '');
    await expect(resolveAnywhere(text, scope)).rejects.toMatchObject({
      code: 'outside-workspace',
      message: expect.stringContaining(`: ${why}. Nothing was run or sent.`),
    });
  });

  test('is in a folder that the policy never sends', async () => {
    await expect(resolveAnywhere(at('kept', 'file'), scope)).rejects.toMatchObject({
      code: 'policy',
      message: `The operator's policy never sends or contacts ${at('kept', 'file')}. Nothing was run or sent.`,
      hint: expect.stringContaining('Use a configuration without it'),
    });
  });
});
