import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { agreeOnEnvFiles, createEnvFiles } from '../../../src/configuration/env-files.ts';
import type { Disclosure } from '../../../src/core/change.ts';
import { createWorkspace } from '../../../src/safety/files/workspace.ts';
import type { EnvFilesMode } from '../../../src/settings/settings.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const NOTHING = { values: {}, files: {}, given: [], skipped: [], inherited: [] };

/** Looks for the variables A, B and C; somebody agreed to the disclosures that `agrees` accepts. */
async function look(mode: EnvFilesMode, agrees: (disclosure: Disclosure) => boolean) {
  const folder = path.join(emptyFolder(), 'ws');
  mkdirSync(folder);
  writeFileSync(path.join(folder, '.envrc'), 'export A=secret-a\nB=secret-b\nOTHER=secret-other\nC=$(touch x)\n');
  const learned: string[] = [];
  const envFiles = createEnvFiles({
    mode,
    workspace: createWorkspace({ folders: [folder], home: folder }),
    learn: (secrets) => void learned.push(...secrets),
  });
  const scope = { envFiles, isAgreed: async (one: Disclosure) => agrees(one), server: 'http://127.0.0.1:3999' };
  return { folder, learned, ...(await agreeOnEnvFiles(scope, folder, { ...NOTHING, unset: ['A', 'B', 'C', 'D'] })) };
}

test('without consent no value is used: each is offered by its name and file, and all are masked', async () => {
  const { environment, open, learned, folder } = await look('ask', () => false);
  expect(environment).toMatchObject({ values: {}, files: {}, given: [], unset: ['A', 'B', 'C', 'D'] });
  expect(environment.skipped).toEqual([expect.stringMatching(/^C \(line 4\) in \.envrc: /)]);
  expect(open).toEqual([
    {
      kind: 'env-file',
      subject: `${path.join(folder, '.envrc')}: A`,
      action: 'read the value of A from the .envrc next to it, and send it to the dstack server http://127.0.0.1:3999',
      credentials: [],
    },
    expect.objectContaining({ subject: `${path.join(folder, '.envrc')}: B` }),
  ]);
  expect(JSON.stringify(open)).not.toContain('secret');
  expect(learned).toEqual(expect.arrayContaining(['secret-a', 'secret-b', 'secret-other']));
});

test('with consent to one, that one is used and bound by the content of its file', async () => {
  const { environment, open, folder } = await look('ask', ({ subject }) => subject.endsWith(': A'));
  expect(environment.values).toEqual({ A: 'secret-a' });
  expect(environment.given).toEqual(['A from .envrc']);
  expect(environment.unset).toEqual(['B', 'C', 'D']);
  expect(environment.files[path.join(folder, '.envrc')]).toMatch(/^[0-9a-f]{64}$/);
  expect(open).toHaveLength(1);
});

test.each(['on', 'off'] as const)('in the mode %s nothing is asked, and no file is read here', async (mode) => {
  const { environment, open, learned } = await look(mode, () => true);
  expect([environment.values, open, learned]).toEqual([{}, [], []]);
});

test.each([
  'SSLKEYLOGFILE',
  'HOSTALIASES',
  'GCONV_PATH',
  '_ARGCOMPLETE_STDOUT_FILENAME',
  'COMP_LINE',
  'OPENSSL_CONF',
  'https_proxy',
  'LD_PRELOAD',
  'PYTHONSTARTUP',
  'GIT_SSH_COMMAND',
  'DSTACK_PROFILE',
])('%s is never taken from an env file: it would affect dstack itself, or what it starts', async (name) => {
  const folder = emptyFolder();
  writeFileSync(path.join(folder, '.env'), `${name}=x\nHF_TOKEN=y\n`);
  const workspace = createWorkspace({ folders: [folder], home: path.join(folder, 'home') });
  const envFiles = createEnvFiles({ mode: 'on', workspace, learn: () => undefined });
  const { values, skipped } = await envFiles.readFor(folder, [name, 'HF_TOKEN']);
  expect(values).toEqual({ HF_TOKEN: 'y' });
  expect(skipped).toEqual([`${name} in .env: it would affect dstack itself`]);
});
