// @ts-check
// Sets up a fresh clone, and repairs an interrupted setup: node packages, the build, and a private Python environment with a pinned
// dstack; with `--browser`, Chromium for the tests of the card; with `--older`, an older dstack. Plain JavaScript without dependencies,
// because it runs before any are installed.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { withLock } from '../src/core/exclusive-lock.mjs';
import { hashFiles, isBuildCurrent } from './build-stamp.mjs';
import { prepareChromium } from './chromium.mjs';
import { findMissing } from './find-missing.mjs';
import { hasInstalledPackages } from './installed-packages.mjs';
import { findNpm } from './run-npm.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));
const cacheFolder = path.join(root, '.cache');
const pythonFolder = path.join(cacheFolder, 'python');
const startedAt = Date.now();

/** A problem that the user has to fix before the setup can continue. */
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

/** Aborted by Ctrl-C and SIGTERM. A second signal ends this process at once. */
const stopping = new AbortController();
const { signal } = stopping;
for (const name of /** @type {const} */ (['SIGINT', 'SIGTERM'])) process.once(name, () => stopping.abort());

try {
  checkNode();
  await checkMachine();
  signal.throwIfAborted();
  if (await prepare()) say(`Setup complete (${secondsSince(startedAt)} s). Later runs skip it.`);
} catch (error) {
  if (signal.aborted) {
    say('Stopped. The next run repairs an incomplete setup.');
    process.exitCode = 130;
  } else if (error instanceof Error && 'hint' in error) {
    say(`${error.message}\n${String(error.hint)}`);
    process.exitCode = 1;
  } else throw error;
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  throw new SetupError(
    `Node ${process.versions.node} is too old: 20.19 or later is required.`,
    'Install a newer version from https://nodejs.org or with a version manager ("nvm install 22"), then run this command again.',
  );
}

/** Runs before the first long step, so that missing programs are reported immediately. */
async function checkMachine() {
  const { missing } = await findMissing({ python: !existsSync(path.join(pythonFolder, 'dstack-sandbox.stamp')) });
  if (missing.length === 0) return;
  const lines = missing.map(({ message, hint }) => `- ${message}\n  ${hint}`);
  throw new SetupError(
    `Missing requirements; nothing was installed:\n${lines.join('\n')}`,
    'Then run this command again.',
  );
}

/** Runs the missing steps. Returns whether there were any. */
async function prepare() {
  mkdirSync(cacheFolder, { recursive: true });
  const steps = [packagesStep(), buildStep()];
  const made = steps.some((step) => !step.isDone()) && (await runSteps(steps));
  signal.throwIfAborted();
  // In parallel, because pip uses one core.
  const newest = preparePython();
  // Like the browser, only the tests need the older one.
  const both = process.argv.includes('--older') ? [newest, prepareOlderPython(newest)] : [newest];
  // Wait for both even if one fails or is stopped, so that no process is left running.
  await Promise.allSettled(both);
  const installed = await Promise.all(both);
  const hasNewBrowser =
    process.argv.includes('--browser') &&
    (await prepareChromium({ say, noticeFile: path.join(root, 'node_modules', '.dstack-mcp-chromium'), signal }));
  signal.throwIfAborted();
  return made || installed.includes(true) || hasNewBrowser;
}

/**
 * Returns a step with a stamp file of its inputs, which is written last so that an interrupted step is repeated.
 * @param {{ stamp: string, hashInputs: () => string, run: () => Promise<void> }} step
 */
function stampedStep({ stamp, hashInputs, run }) {
  return {
    isDone: () => readIfExists(stamp) === hashInputs(),
    async run() {
      const wanted = hashInputs();
      await run();
      writeFileSync(stamp, wanted);
    },
  };
}

function packagesStep() {
  const step = stampedStep({
    stamp: path.join(root, 'node_modules', '.dstack-mcp-stamp'),
    hashInputs: () => hashFiles(['package-lock.json', '.npmrc'], `${process.platform}-${process.arch}`),
    async run() {
      say('Installing node packages…');
      await runNpm(['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'installing node packages');
    },
  });
  return { ...step, isDone: () => step.isDone() || hasInstalledPackages(root) };
}

function buildStep() {
  return {
    isDone: isBuildCurrent,
    async run() {
      say('Building…');
      const { buildAll } = await import('./build.mjs');
      await buildAll();
    },
  };
}

function loadSandbox() {
  return import(new URL('../dist/sandbox.cjs', import.meta.url).href);
}

/** Installs the pinned dstack. Returns whether it was missing. */
async function preparePython() {
  const { preparePythonEnvironment, showProgress } = await loadSandbox();
  const display = showProgress(say, process.stderr);
  let installed = false;
  try {
    await preparePythonEnvironment({
      folder: pythonFolder,
      signal,
      /**
       * @param {string} line
       * @param {number} [share]
       */
      onProgress(line, share) {
        installed = true;
        display.onProgress(line, share);
      },
    });
  } finally {
    display.end();
  }
  return installed;
}

/**
 * Installs an older dstack into the folder that `npm run lab -- matrix` uses too. Returns whether it was missing.
 * Its progress is shown once the newest version is installed; until then, the progress of the newest version is.
 * @param {Promise<boolean>} newest
 */
async function prepareOlderPython(newest) {
  const { OLDER_DSTACK_VERSION: version, preparePythonEnvironment, showProgress } = await loadSandbox();
  const folder = path.join(cacheFolder, 'matrix', version);
  const display = showProgress(say, process.stderr);
  let installed = false;
  let isAlone = false;
  // The caller awaits `newest` and reports its failure.
  newest.then(
    () => (isAlone = true),
    () => {},
  );
  try {
    await preparePythonEnvironment({
      folder,
      version,
      signal,
      /**
       * @param {string} line
       * @param {number} [share]
       */
      onProgress(line, share) {
        if (!installed) say(`Installing dstack ${version}, too, for the tests…`);
        installed = true;
        if (isAlone && share !== undefined) display.onProgress(line, share);
      },
    });
  } finally {
    display.end();
  }
  return installed;
}

/**
 * Runs npm and reports the elapsed time every five seconds.
 * @param {string[]} args
 * @param {string} what
 */
async function runNpm(args, what) {
  const since = Date.now();
  const timer = setInterval(() => say(`  ${what}… ${secondsSince(since)} s`), 5000);
  try {
    await spawnNpm(args);
  } catch (error) {
    signal.throwIfAborted();
    const why = error instanceof Error ? error.message : String(error);
    throw new SetupError(
      `${what} failed: ${why}`,
      'Check that the npm registry is reachable, then run this command again. It repairs an incomplete installation.',
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
  const { file, first, shell } = findNpm(process.env);
  return new Promise((resolve, reject) => {
    const child = spawn(file, [...first, ...args], { cwd: root, shell, stdio: ['ignore', 2, 2] });
    const end = () => child.kill();
    signal.addEventListener('abort', end);
    child.once('error', (error) => {
      signal.removeEventListener('abort', end);
      reject('code' in error && error.code === 'ENOENT' ? new Error('npm is not on PATH.') : error);
    });
    // Wait for the exit after a signal too, so that the next run doesn't meet a running npm.
    child.once('exit', (code, ended) => {
      signal.removeEventListener('abort', end);
      if (code === 0) resolve();
      else reject(new Error(`npm exited with ${ended ?? code}.`));
    });
  });
}

/**
 * Runs the steps that aren't done, unless another process sets up this folder: then waits for it first. Returns whether it ran any.
 * @param {readonly { isDone: () => boolean, run: () => Promise<void> }[]} steps
 */
async function runSteps(steps) {
  const onWait = () => say('Waiting for another setup of this folder…');
  const ran = await withLock(
    path.join(cacheFolder, 'setup.lock'),
    { deadlineMs: 30 * 60_000, signal, onWait },
    async () => {
      let made = false;
      for (const step of steps) {
        signal.throwIfAborted();
        // Another process may have completed it during the wait.
        if (step.isDone()) continue;
        await step.run();
        made = true;
      }
      return made;
    },
  );
  if (ran !== undefined) return ran.value;
  throw new SetupError(
    'Another setup of this folder has been running for 30 minutes.',
    'Wait for it or stop it, then run the same command again.',
  );
}

/** @param {string} file */
function readIfExists(file) {
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
