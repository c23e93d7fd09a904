import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { addUse, isUnused, removeUse } from '../../../src/attachments/attachment-store.ts';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';

const attachment = { id: 'dev@main', temporary: true } as const;

function open() {
  const folder = emptyFolder();
  const usesFolder = (id: string): string => path.join(folder, `${id}.uses`);
  return { usesFolder };
}

test('a temporary attachment is unused once the server that used it has released it', async () => {
  const store = open();
  expect(await isUnused(attachment, store)).toBe(true);
  await addUse(attachment, 'session', store);
  expect(await isUnused(attachment, store)).toBe(false);
  await removeUse(attachment.id, store);
  expect(await isUnused(attachment, store)).toBe(true);
});

test('a temporary attachment that the user joined is the user’s', async () => {
  const store = open();
  await addUse(attachment, 'session', store);
  await addUse(attachment, 'user', store);
  await removeUse(attachment.id, store);
  expect(await isUnused(attachment, store)).toBe(false);
});

test('an attachment that the user made is never unused', async () => {
  const store = open();
  await addUse({ id: 'dev@main' }, 'session', store);
  await removeUse('dev@main', store);
  expect(await isUnused({ id: 'dev@main' }, store)).toBe(false);
});

test('a temporary attachment is used while another server uses it, and not after that was killed', async () => {
  const store = open();
  const other = spawn('sleep', ['600'], { stdio: 'ignore' });
  await once(other, 'spawn');
  const pid = other.pid ?? 0;
  const startedAt = (await lookUpProcess(pid))?.startedAt ?? '';
  await mkdir(store.usesFolder(attachment.id), { recursive: true, mode: 0o700 });
  await writeFile(path.join(store.usesFolder(attachment.id), String(pid)), startedAt, { mode: 0o600 });
  await addUse(attachment, 'session', store);
  await removeUse(attachment.id, store);
  expect(await isUnused(attachment, store)).toBe(false);
  const exited = once(other, 'exit');
  other.kill('SIGKILL');
  await exited;
  expect(await isUnused(attachment, store)).toBe(true);
});

test.each(['user', String(process.pid)])(
  'a use by %s that other users could have written does not count',
  async (name) => {
    const store = open();
    await addUse(attachment, name === 'user' ? 'user' : 'session', store);
    expect(await isUnused(attachment, store)).toBe(false);
    await chmod(path.join(store.usesFolder(attachment.id), name), 0o666);
    expect(await isUnused(attachment, store)).toBe(true);
  },
);
