import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { withLock } from '../../../src/core/exclusive-lock.mjs';
import {
  assertSandboxRuns,
  programCommand,
  sandboxEnvironment,
  sandboxPlace,
} from '../../../src/settings/installation.ts';
import type { SandboxPlace } from '../../../src/settings/installation.ts';
import { readSettings } from '../../../src/settings/settings.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { nextSteps } from '../../../sandbox/demo.ts';

/** Writes what the sandbox writes once it is ready. */
async function configure({ home }: SandboxPlace): Promise<void> {
  await mkdir(path.join(home, '.dstack'), { recursive: true });
  await writeFile(path.join(home, '.dstack', 'config.yml'), 'projects: []\n');
}

const ENDED = expect.objectContaining({
  code: 'sandbox-ended',
  message: expect.stringContaining('Nothing was run.'),
  hint: expect.stringMatching(/`npm run sandbox` in \S/),
});

describe('the sandbox runs', () => {
  test('while it is configured and a living process holds its lock', async () => {
    const place = sandboxPlace(emptyFolder());
    await withLock(place.lockFile, { deadlineMs: 0 }, async () => {
      await expect(assertSandboxRuns(place)).rejects.toEqual(ENDED);
      await configure(place);
      await expect(assertSandboxRuns(place)).resolves.toBeUndefined();
    });
    await expect(assertSandboxRuns(place)).rejects.toEqual(ENDED);
  });

  test('not if it was killed and left everything behind', async () => {
    const place = sandboxPlace(emptyFolder());
    await configure(place);
    await writeFile(place.lockFile, JSON.stringify({ pid: 1, startedAt: 'another boot' }));
    await expect(assertSandboxRuns(place)).rejects.toEqual(ENDED);
  });
});

test('with the sandbox, its folders are the defaults, and the state of other servers is not used', () => {
  const stateDir = emptyFolder();
  const place = sandboxPlace(stateDir);
  const given = { '--state-dir': stateDir, '--sandbox': 'on' };
  expect(readSettings(given, {})).toMatchObject({
    sandbox: place,
    cli: place.cli,
    workspace: [place.workspace],
    workspaceIsSet: true,
    stateDir: path.join(stateDir, 'sandbox', 'state'),
  });
  expect(readSettings({ ...given, '--workspace': '/gpu' }, {}).workspace).toEqual([path.resolve('/gpu')]);
  expect(readSettings({ '--state-dir': stateDir }, {})).toMatchObject({ sandbox: undefined, stateDir });
});

test("with the sandbox, dstack sees neither the user's servers nor their proxies", () => {
  const place = sandboxPlace('/state');
  const own = { PATH: '/usr/bin', HOME: '/home/me', DSTACK_MCP_CONFIRM: 'person', LANG: 'C' };
  const theirs = { DSTACK_PROJECT: 'team', DSTACK_SERVER_URL: 'https://a', DSTACK_TOKEN: 'b', https_proxy: 'http://p' };
  expect(sandboxEnvironment({ ...own, ...theirs }, place)).toEqual({
    ...own,
    HOME: place.home,
    USERPROFILE: place.home,
    PATH: [place.binFolder, '/usr/bin'].join(path.delimiter),
  });
});

test.each([
  ['a clone', '/home/me/dstack-mcp/dist/dstack-mcp.mjs', 'node dist/dstack-mcp.mjs doctor'],
  [
    'a clone, from another folder',
    '/opt/dstack-mcp/dist/dstack-mcp.mjs',
    'node /opt/dstack-mcp/dist/dstack-mcp.mjs doctor',
  ],
  ['npx', '/home/me/.npm/_npx/1f/node_modules/dstack-mcp/dist/dstack-mcp.mjs', 'npx -y dstack-mcp doctor'],
  ['a global installation', '/usr/lib/node_modules/dstack-mcp/dist/dstack-mcp.mjs', 'dstack-mcp doctor'],
])('the demo of %s ends with commands that work there', (_where, server, command) => {
  expect(nextSteps(programCommand(server, '/home/me/dstack-mcp'))).toContain(` ${command}\n`);
});
