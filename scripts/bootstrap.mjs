// @ts-check
// Everything that a fresh clone needs, made once and repaired when it was interrupted: node packages, the build, a private Python
// environment with a pinned dstack; with `--browser`, a Chromium for the card where it can be had without asking; with `--older`, an older
// dstack. Plain JavaScript without packages: it runs before there are any.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { prepareChromium } from './chromium.mjs';
import { findMissing } from './find-missing.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const cacheFolder = path.join(root, '.cache');
const pythonFolder = path.join(cacheFolder, 'python');
const startedAt = Date.now();

/** Something that a person has to do before the set-up can go on. */
class SetupError extends Error {
  /**
   * @param {string} message
   * @param {string} hint
   */
  constructor(message, hint) {
    super(message);
    this.hint = hint;
  }
}

try {
  checkNode();
  await checkMachine();
  if (await prepare()) say(`Everything is set up (${secondsSince(startedAt)} s); the next time this takes no time.`);
} catch (error) {
  if (!(error instanceof Error && 'hint' in error)) throw error;
  say(`${error.message}\n${String(error.hint)}`);
  process.exitCode = 1;
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(
    `Node ${process.versions.node} is too old: 20.19 or later is needed.`,
    'Install a newer one from https://nodejs.org or with your version manager ("nvm install 22"), then run this again.',
  );
}

/** Before the first long step, so that nobody waits a minute to hear that something is missing. */
async function checkMachine() {
  const { missing } = await findMissing({ python: !existsSync(path.join(pythonFolder, 'dstack-sandbox.stamp')) });
  if (missing.length === 0) return;
  const lines = missing.map(({ message, hint }) => `- ${message}\n  ${hint}`);
  throw new SetupError(
    `This machine lacks what the sandbox runs on; nothing was installed:\n${lines.join('\n')}`,
    'Then run the same command again.',
  );
}

/** Makes what isn't there yet; gives whether anything was. */
async function prepare() {
  mkdirSync(cacheFolder, { recursive: true });
  const steps = [packagesStep(), buildStep()];
  let made = false;
  if (steps.some((step) => !step.isDone())) {
    const release = await lock();
    try {
      for (const step of steps) {
        // Somebody else may have done it while this process waited.
        if (step.isDone()) continue;
        await step.run();
        made = true;
      }
    } finally {
      release();
    }
  }
  // At the same time: pip keeps one core busy.
  const newest = preparePython();
  const [hasNewPython, hasNewOlder] = await Promise.all([
    newest,
    // For the tests alone, as the browser is: who only wants the demo isn't given them.
    process.argv.includes('--older') && prepareOlderPython(newest),
  ]);
  const hasNewBrowser =
    process.argv.includes('--browser') &&
    (await prepareChromium({ say, toldFile: path.join(root, 'node_modules', '.dstack-mcp-chromium') }));
  return made || hasNewPython || hasNewOlder || hasNewBrowser;
}

/**
 * A step whose stamp holds what it was made from and is written last, so that an interrupted one is done anew.
 * @param {{ stamp: string, madeFrom: () => string, run: () => Promise<void> }} step
 */
function stampedStep({ stamp, madeFrom, run }) {
  return {
    isDone: () => readIfThere(stamp) === madeFrom(),
    async run() {
      const wanted = madeFrom();
      await run();
      writeFileSync(stamp, wanted);
    },
  };
}

function packagesStep() {
  return stampedStep({
    stamp: path.join(root, 'node_modules', '.dstack-mcp-stamp'),
    madeFrom: () => hashFiles(['package-lock.json', '.npmrc'], `${process.platform}-${process.arch}`),
    async run() {
      say('Installing node packages…');
      await runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'installing node packages');
    },
  });
}

function buildStep() {
  return stampedStep({
    stamp: path.join(root, 'dist', '.stamp'),
    madeFrom: () =>
      hashFiles(
        [
          'package.json',
          'package-lock.json',
          'scripts/build.mjs',
          'scripts/describe-bundled.mjs',
          'scripts/find-missing.mjs',
          ...['src', 'tools', 'sandbox', 'ui', 'worker', 'skills'].flatMap(listFiles),
        ],
        '',
      ),
    async run() {
      say('Building…');
      const { buildAll } = await import('./build.mjs');
      await buildAll();
    },
  });
}

function loadSandbox() {
  return import(new URL('../dist/sandbox.cjs', import.meta.url).href);
}

/** Gives whether there was anything to do, as the next one does. */
async function preparePython() {
  const { preparePythonEnvironment, showProgress } = await loadSandbox();
  const display = showProgress(say, process.stderr);
  let said = false;
  try {
    await preparePythonEnvironment({
      folder: pythonFolder,
      /**
       * @param {string} line
       * @param {number} [share]
       */
      onProgress(line, share) {
        said = true;
        display.onProgress(line, share);
      },
    });
  } finally {
    display.end();
  }
  return said;
}

/**
 * Where `npm run matrix` keeps it as well. Its progress is shown once the newest one is there: until then that one's is.
 * @param {Promise<boolean>} newest
 */
async function prepareOlderPython(newest) {
  const { OLDER_DSTACK_VERSION: version, preparePythonEnvironment, showProgress } = await loadSandbox();
  const folder = path.join(cacheFolder, 'matrix', version);
  const display = showProgress(say, process.stderr);
  let said = false;
  let isAlone = false;
  // Whether it fails is told where it is waited for.
  newest.then(
    () => (isAlone = true),
    () => {},
  );
  try {
    await preparePythonEnvironment({
      folder,
      version,
      /**
       * @param {string} line
       * @param {number} [share]
       */
      onProgress(line, share) {
        if (!said) say(`Installing dstack ${version} as well, for the tests…`);
        said = true;
        if (isAlone && share !== undefined) display.onProgress(line, share);
      },
    });
  } finally {
    display.end();
  }
  return said;
}

/**
 * Runs npm and says every five seconds that it still goes on.
 * @param {string[]} args
 * @param {string} what
 */
async function runNpm(args, what) {
  const since = Date.now();
  const timer = setInterval(() => say(`  ${what}… ${secondsSince(since)} s`), 5000);
  try {
    await spawnNpm(args);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SetupError(
      `${what} failed: ${why}`,
      'The packages come from the npm registry: see that it can be reached, then run the same command again. What is half done is repaired.',
    );
  } finally {
    clearInterval(timer);
  }
}

/**
 * @param {string[]} args
 * @returns {Promise<void>}
 */
function spawnNpm(args) {
  // The npm that runs this script, where it does: it needn't be on PATH, and on Windows it needs no shell.
  const own = process.env['npm_execpath'];
  const isNpm = own !== undefined && path.basename(own) === 'npm-cli.js';
  const windows = process.platform === 'win32';
  const [file, first] = isNpm ? [process.execPath, [own]] : [windows ? 'npm.cmd' : 'npm', []];
  const options = { cwd: root, shell: windows && !isNpm };
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...first, ...args], { ...options, stdio: ['ignore', 2, 2] });
    const end = () => child.kill();
    process.once('SIGTERM', end);
    child.once('error', (error) => {
      process.off('SIGTERM', end);
      reject('code' in error && error.code === 'ENOENT' ? new Error('there is no npm on PATH.') : error);
    });
    child.once('exit', (code, signal) => {
      process.off('SIGTERM', end);
      if (code === 0) resolve();
      else reject(new Error(`npm ended with ${signal ?? code}.`));
    });
  });
}

/** Waits until no other process sets up this folder; the lock of a process that died is taken over. */
async function lock() {
  const file = path.join(cacheFolder, 'setup.lock');
  for (let told = false; ; await delay(200)) {
    try {
      writeFileSync(file, String(process.pid), { flag: 'wx' });
      return () => rmSync(file, { force: true });
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    if (isAbandoned(file)) rmSync(file, { force: true });
    else if (!told) {
      say('Waiting for another set-up of this folder…');
      told = true;
    }
  }
}

/** @param {string} file */
function isAbandoned(file) {
  const holder = Number(readIfThere(file) ?? 0);
  if (holder > 0) return !isAlive(holder);
  // Made a moment ago and not written yet, or left by a process that died in between.
  const made = statSync(file, { throwIfNoEntry: false });
  return made !== undefined && Date.now() - made.mtimeMs > 10_000;
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/**
 * @param {readonly string[]} files
 * @param {string} salt
 */
function hashFiles(files, salt) {
  const hash = createHash('sha256').update(salt);
  for (const file of files) hash.update(`${file}\0`).update(readFileSync(path.join(root, file)));
  return hash.digest('hex');
}

/**
 * @param {string} folder
 * @returns {string[]}
 */
function listFiles(folder) {
  return readdirSync(path.join(root, folder), { recursive: true })
    .map((name) => path.join(folder, String(name)))
    .filter((name) => !name.includes('__pycache__') && statSync(path.join(root, name)).isFile())
    .sort();
}

/** @param {string} file */
function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** @param {number} since */
function secondsSince(since) {
  return Math.round((Date.now() - since) / 1000);
}

/** @param {string} line */
function say(line) {
  process.stderr.write(`${line}\n`);
}
