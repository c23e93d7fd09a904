import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { checkArgv, hasEffect } from '../../../src/dstack/argv/check-argv.ts';
import { createPlainRunner } from '../../../src/dstack/run/process-runner.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import { grantConsent } from '../../../src/safety/consent/consent.ts';
import { recordedCatalog, silentLog } from '../../support/recorded-catalog.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

test('a change that can’t create a temporary file is not started, and its consent stays valid', async () => {
  const folder = emptyFolder();
  const argv = await checkArgv(
    { command: 'stop', flags: { '--yes': true }, positionals: ['web'] },
    recordedCatalog('0.22.5'),
  );
  if (!hasEffect(argv, 'change')) throw new Error(`its effect is ${argv.effect}`);
  const runner = createPlainRunner({
    executable: { path: '/bin/true', tried: [] },
    env: {},
    launcherPath: '',
    log: silentLog,
  });
  onTestFinished(() => runner.close());
  const consent = grantConsent({ level: 'token', argv: argv.argv });
  const stop = (): Promise<Transcript> => runner.change(argv, consent, { timeoutMs: 30_000 });
  onTestFinished(() => void vi.unstubAllEnvs());
  vi.stubEnv('TMPDIR', path.join(folder, 'missing'));
  expect((await stop()).exit).toEqual({ kind: 'not-started', reason: expect.stringContaining('ENOENT') });
  vi.stubEnv('TMPDIR', folder);
  expect((await stop()).exit).toEqual({ kind: 'exited', code: 0 });
});
