// Everything that a fresh clone needs, made once and repaired when it was interrupted: node packages, the build, and a private
// Python environment with a pinned dstack. Plain JavaScript without packages: it runs before there are any.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('..', import.meta.url));
export const cacheFolder = path.join(root, '.cache');
export const pythonFolder = path.join(cacheFolder, 'python');

const say = (line) => process.stderr.write(`${line}\n`);

/** Makes what is missing; a second call finds it done and takes no network. */
export async function bootstrap() {
  checkNode();
  mkdirSync(cacheFolder, { recursive: true });
  await installPackages();
  await buildBundle();
  await preparePython();
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major > 20 || (major === 20 && minor >= 19)) return;
  say(`Node ${process.versions.node} is too old: dstack-mcp needs 20.19 or later.`);
  process.exit(1);
}

async function installPackages() {
  const wanted = hashFiles(['package.json', 'package-lock.json', '.npmrc']);
  const stamp = path.join(root, 'node_modules', '.dstack-mcp-stamp');
  if (readIfThere(stamp) === wanted) return;
  say('Installing node packages…');
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  await run(npm, ['ci', '--no-audit', '--no-fund', '--loglevel=error'], 'installing node packages');
  writeFileSync(stamp, wanted);
}

async function buildBundle() {
  const wanted = hashFiles([
    'package.json',
    'scripts/build.mjs',
    ...['src', 'tools', 'sandbox', 'worker'].flatMap(listFiles),
  ]);
  const stamp = path.join(root, 'dist', '.stamp');
  if (readIfThere(stamp) === wanted) return;
  say('Building…');
  const { buildAll } = await import('./build.mjs');
  await buildAll();
  writeFileSync(stamp, wanted);
}

async function preparePython() {
  const { preparePythonEnvironment } = await import('../dist/sandbox.mjs');
  try {
    await preparePythonEnvironment({ folder: pythonFolder, onProgress: say });
  } catch (error) {
    say(error.message);
    if (error.hint !== undefined) say(error.hint);
    process.exit(1);
  }
}

/** Runs a step and says every five seconds that it still goes on. */
async function run(command, args, what) {
  const startedAt = Date.now();
  const timer = setInterval(() => say(`  ${what}… ${Math.round((Date.now() - startedAt) / 1000)} s`), 5000);
  try {
    await new Promise((resolve, reject) => {
      const child = spawn(command, args, { cwd: root, stdio: ['ignore', 2, 2], shell: process.platform === 'win32' });
      child.once('error', reject);
      child.once('exit', (code, signal) =>
        code === 0 ? resolve() : reject(new Error(`${command} ended with ${signal ?? code}`)),
      );
    });
  } catch (error) {
    say(`${what} failed: ${error.message}. Run the same command again: what is half done is repaired.`);
    process.exit(1);
  } finally {
    clearInterval(timer);
  }
}

function hashFiles(files) {
  const hash = createHash('sha256').update(process.version);
  for (const file of files) hash.update(file).update(readFileSync(path.join(root, file)));
  return hash.digest('hex');
}

function listFiles(folder) {
  if (!existsSync(path.join(root, folder))) return [];
  return readdirSync(path.join(root, folder), { recursive: true })
    .map((name) => path.join(folder, String(name)))
    .filter((name) => !name.includes('__pycache__') && statSync(path.join(root, name)).isFile())
    .sort();
}

function readIfThere(file) {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--clean')) rmSync(path.join(root, 'dist'), { recursive: true, force: true });
  await bootstrap();
}
