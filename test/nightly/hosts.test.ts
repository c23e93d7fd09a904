import { execa } from 'execa';
import { describe, expect, inject, test } from 'vitest';
import { checkHost } from '../../scripts/hosts/check-host.ts';
import { HOSTS } from '../../scripts/hosts/hosts.ts';
import { installHost } from '../../scripts/hosts/install-host.ts';
import { problemsOf } from '../../scripts/hosts/results.ts';
import { builtServer, repositoryRoot } from '../support/paths.ts';
import { emptyFolder } from '../support/temporary-folders.ts';

// The hosts that most people use; `npm run hosts` drives the others, too. They are downloaded once.
const TESTED = HOSTS.filter(({ id }) => ['claude-code', 'codex', 'gemini', 'opencode'].includes(id));

// Four turns of a host, on a busy machine.
const TIMEOUT_MS = 600_000;

describe('a real host with a scripted model', () => {
  test.each(TESTED)(
    '$title shows the plan readably, makes the change, and leaves nothing behind',
    async (host) => {
      const { url, token, cli } = inject('sandbox');
      const around = { url, token, cli, server: builtServer, folder: emptyFolder() };
      const report = await checkHost(host, await installHost(host), around);
      expect(report.tools).toBeGreaterThanOrEqual(17);
      expect(problemsOf(report, host.limits)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test.each([
    ['claude-code', ['plugin', 'validate', '--strict', '.']],
    ['claude-code', ['plugin', 'validate', '--strict', '.claude-plugin/plugin.json']],
    ['gemini', ['extensions', 'validate', '.']],
  ])('%s accepts this repository: %s', async (id, command) => {
    const host = TESTED.find((one) => one.id === id);
    if (host === undefined) throw new Error(`${id} is missing`);
    const env = { HOME: emptyFolder(), GEMINI_API_KEY: 'none' };
    expect(await execa(await installHost(host), command, { cwd: repositoryRoot, env })).toMatchObject({ exitCode: 0 });
  });
});
