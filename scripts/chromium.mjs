// @ts-check
// Finds the browser for the tests of the card, and installs it on Debian. Plain JavaScript without dependencies, because it runs before
// any are installed.
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** @typedef {Readonly<Record<string, string | undefined>>} Environment */

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge'];

/** Usual paths of browsers that aren't on PATH. */
const USUAL_PATHS = {
  linux: ['/usr/bin/chromium', '/usr/bin/google-chrome', '/opt/google/chrome/chrome', '/snap/bin/chromium'],
  darwin: [
    '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
    '/Applications/Chromium.app/Contents/MacOS/Chromium',
    '/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge',
  ],
  win32: [
    'C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Google\\Chrome\\Application\\chrome.exe',
    'C:\\Program Files (x86)\\Microsoft\\Edge\\Application\\msedge.exe',
  ],
};

/**
 * Finds Chromium through CHROME_PATH, on PATH or at a usual path. Returns `undefined` if there is none.
 * @param {Environment} [env]
 * @returns {string | undefined}
 */
export function findChromium(env = process.env) {
  const named = env['CHROME_PATH'];
  // Using another browser would hide a mistake in CHROME_PATH.
  if (named !== undefined && named !== '') return isProgram(named) ? named : undefined;
  const folders = (env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const onPath = NAMES.flatMap((name) => folders.map((folder) => path.join(folder, `${name}${suffix}`)));
  const usual = Object.entries(USUAL_PATHS).flatMap(([platform, files]) =>
    platform === process.platform ? files : [],
  );
  return [...onPath, ...usual].find(isProgram);
}

/** @param {string} file */
function isProgram(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * Installs Chromium on Debian if this process is root. Elsewhere it reports once that Chromium is missing.
 * @param {{ say: (line: string) => void, noticeFile: string, env?: Environment, signal?: AbortSignal }} options
 * @returns {Promise<boolean>} whether it was installed
 */
export async function prepareChromium({ say, noticeFile, env = process.env, signal }) {
  if (findChromium(env) !== undefined) return false;
  const isDebian = existsSync('/etc/debian_version') && (env['PATH'] ?? '').split(path.delimiter).some(hasApt);
  if (!isDebian || process.getuid?.() !== 0 || env['CHROME_PATH'] !== undefined) {
    if (!existsSync(noticeFile)) {
      say(
        'Chromium not found: the tests of the card will be skipped. Everything else works. Install Chromium or Chrome, or set CHROME_PATH.',
      );
      writeFileSync(noticeFile, '');
    }
    return false;
  }
  say('Installing Chromium for the tests of the card…');
  const since = Date.now();
  const timer = setInterval(() => say(`  installing Chromium… ${Math.round((Date.now() - since) / 1000)} s`), 5000);
  const isInstalled =
    (await run(['apt-get', 'update', '-qq'], signal)) &&
    (await run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-liberation'], signal));
  clearInterval(timer);
  signal?.throwIfAborted();
  if (!isInstalled) say('apt-get failed to install Chromium: the tests of the card will be skipped.');
  return isInstalled;
}

/** @param {string} folder */
const hasApt = (folder) => isProgram(path.join(folder, 'apt-get'));

/**
 * @param {readonly [string, ...string[]]} command
 * @param {AbortSignal | undefined} signal
 * @returns {Promise<boolean>} whether it succeeded
 */
function run([file, ...args], signal) {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: 'ignore',
      ...(signal === undefined ? {} : { signal }),
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}
