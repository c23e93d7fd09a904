import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { findChromium, prepareChromium } from '../../../scripts/chromium.mjs';

/** Creates a folder with a program of that name. */
async function makeProgram(name: string): Promise<{ folder: string; file: string }> {
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-browser-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, process.platform === 'win32' ? `${name}.exe` : name);
  await writeFile(file, '#!/bin/sh\n');
  await chmod(file, 0o755);
  return { folder, file };
}

test('CHROME_PATH takes precedence, and if it names a missing file, no other browser is used', async () => {
  const { folder, file } = await makeProgram('chromium');
  expect(findChromium({ CHROME_PATH: file, PATH: '' })).toBe(file);
  expect(findChromium({ CHROME_PATH: path.join(folder, 'none'), PATH: folder })).toBeUndefined();
});

test('Chromium is found on PATH under any of its names', async () => {
  const { folder, file } = await makeProgram('google-chrome');
  expect(findChromium({ PATH: ['/nowhere', folder].join(path.delimiter) })).toBe(file);
});

test('a missing Chromium that cannot be installed is reported once', async () => {
  const { folder } = await makeProgram('other');
  const said: string[] = [];
  const options = {
    say: (line: string) => void said.push(line),
    noticeFile: path.join(folder, 'notice'),
    env: { PATH: folder, CHROME_PATH: path.join(folder, 'none') },
  };
  expect(await prepareChromium(options)).toBe(false);
  expect(await prepareChromium(options)).toBe(false);
  expect(said).toEqual([expect.stringContaining('the tests of the card will be skipped')]);
});
