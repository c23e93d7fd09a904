import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { createLastUsed } from '../../../../src/dstack/warm/last-used.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';
import { silentLog } from '../../../support/recorded-catalog.ts';

test('the server that ran a command last is known to all that share the file', async () => {
  const file = path.join(emptyFolder(), 'last-used.json');
  const [one, two] = [createLastUsed(file, silentLog), createLastUsed(file, silentLog)];
  expect([await one.isOurs(), await two.isOurs()]).toEqual([true, true]);
  one.claim();
  expect([await one.isOurs(), await two.isOurs()]).toEqual([true, false]);
  two.claim();
  await two.isOurs();
  expect([await one.isOurs(), await two.isOurs()]).toEqual([false, true]);
});

test('without a readable file, each server is the last one', async () => {
  const file = path.join(emptyFolder(), 'last-used.json');
  await writeFile(file, 'nonsense');
  expect(await createLastUsed(file, silentLog).isOurs()).toBe(true);
  const nowhere = createLastUsed('/dev/null/x/last-used.json', silentLog);
  nowhere.claim();
  expect(await nowhere.isOurs()).toBe(true);
});
