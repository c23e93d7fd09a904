// @ts-check
// The browser that the tests of the card run in: where it is, and how Debian gets it. Plain JavaScript without packages: it runs
// before there are any.
import { spawn } from 'node:child_process';
import { accessSync, constants, existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** @typedef {Readonly<Record<string, string | undefined>>} Environment */

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome', 'microsoft-edge'];

/** Where browsers are that aren't on PATH, as under a PATH without a shell's profile. */
const PLACES = {
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
 * Finds a Chromium: by CHROME_PATH, on PATH, in the usual places; undefined where there is none.
 * @param {Environment} [env]
 * @returns {string | undefined}
 */
export function findChromium(env = process.env) {
  const named = env['CHROME_PATH'];
  // Whoever names one wants that one: another would hide the mistake.
  if (named !== undefined && named !== '') return isProgram(named) ? named : undefined;
  const folders = (env['PATH'] ?? '').split(path.delimiter).filter((folder) => folder !== '');
  const suffix = process.platform === 'win32' ? '.exe' : '';
  const onPath = NAMES.flatMap((name) => folders.map((folder) => path.join(folder, `${name}${suffix}`)));
  const usual = Object.entries(PLACES).flatMap(([platform, places]) => (platform === process.platform ? places : []));
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
 * Sees to it that there is a Chromium, where that can be done without asking: Debian as root. Elsewhere it says once what is missing.
 * @param {{ say: (line: string) => void, toldFile: string, env?: Environment }} options
 * @returns {Promise<boolean>} whether one was installed
 */
export async function prepareChromium({ say, toldFile, env = process.env }) {
  if (findChromium(env) !== undefined) return false;
  const isDebian = existsSync('/etc/debian_version') && (env['PATH'] ?? '').split(path.delimiter).some(hasApt);
  if (!isDebian || process.getuid?.() !== 0 || env['CHROME_PATH'] !== undefined) {
    if (!existsSync(toldFile)) {
      say(
        'There is no Chromium here: the tests of the card will be skipped, and everything else works. Install Chromium or Chrome, or name one with CHROME_PATH.',
      );
      writeFileSync(toldFile, '');
    }
    return false;
  }
  say('Installing Chromium for the tests of the card…');
  const since = Date.now();
  const timer = setInterval(() => say(`  installing Chromium… ${Math.round((Date.now() - since) / 1000)} s`), 5000);
  const isInstalled =
    (await run(['apt-get', 'update', '-qq'])) &&
    (await run(['apt-get', 'install', '-y', '-qq', '--no-install-recommends', 'chromium', 'fonts-liberation']));
  clearInterval(timer);
  if (!isInstalled) say('Chromium couldn’t be installed by apt-get: the tests of the card will be skipped.');
  return isInstalled;
}

/** @param {string} folder */
const hasApt = (folder) => isProgram(path.join(folder, 'apt-get'));

/**
 * @param {readonly [string, ...string[]]} command
 * @returns {Promise<boolean>}
 */
function run([file, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(file, args, {
      stdio: 'ignore',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
    child.once('error', () => resolve(false));
    child.once('exit', (code) => resolve(code === 0));
  });
}
