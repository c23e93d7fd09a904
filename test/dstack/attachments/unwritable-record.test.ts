import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { checkArgv } from '../../../src/dstack/argv/check-argv.ts';
import { createAttachments } from '../../../src/attachments/attachments.ts';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { recordedCatalog, silentLog } from '../../support/recorded-catalog.ts';
import { writeExecutable } from '../../support/write-executable.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

test('dstack is ended if the record can’t be written after its start, because nobody would find it', async () => {
  const folder = emptyFolder();
  const place = (name: string): string => path.join(folder, 'attachments', name);
  const script = await writeExecutable(folder, 'dstack', ['#!/bin/sh', `echo $$ > ${place('pid')}`, 'exec sleep 1000']);
  const attachments = createAttachments({
    stateDir: folder,
    executable: async () => {
      // Between the first write of the record and the start.
      await rm(place('fresh.json'));
      await mkdir(place('fresh.json'));
      return script;
    },
    env: { PATH: '/usr/bin:/bin' },
    log: silentLog,
  });
  onTestFinished(() => attachments.close());
  const argv = await checkArgv(
    { command: 'attach', flags: { '--logs': true }, positionals: ['fresh'] },
    recordedCatalog('0.22.5'),
  );
  const started = attachments.start(argv, { run: 'fresh', deadlineMs: 30_000 });
  await expect(started).rejects.toMatchObject({
    code: 'state-unavailable',
    message: expect.stringContaining('EISDIR'),
  });
  // It may end before it writes its process id.
  const pid = existsSync(place('pid')) ? Number(await readFile(place('pid'), 'utf8')) : undefined;
  onTestFinished(async () => {
    if (pid !== undefined && (await lookUpProcess(pid)) !== undefined) process.kill(pid, 'SIGKILL');
  });
  expect(pid === undefined ? undefined : await lookUpProcess(pid)).toBeUndefined();
});
