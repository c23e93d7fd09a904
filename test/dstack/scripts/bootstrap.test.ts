import { execa } from 'execa';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import { repositoryRoot } from '../../support/paths.ts';

const repository = repositoryRoot;

type RunningSetup = Promise<{ exitCode?: number; stderr: string }> & { kill(signal: NodeJS.Signals): boolean };

interface Clone {
  readonly folder: string;
  readonly bin: string;
  /** Returns how often npm was called to install. */
  npmCalls(): Promise<number>;
  setUp(options?: { nodeOptions?: string[] }): Promise<{ exitCode: number | undefined; said: string }>;
  start(nodeOptions?: string[]): RunningSetup;
}

/** Creates a copy of the repository, and a PATH that has only the given programs. */
async function makeClone(programs: readonly string[]): Promise<Clone> {
  const top = await mkdtemp(path.join(tmpdir(), 'bootstrap-'));
  onTestFinished(() => rm(top, { recursive: true, force: true }));
  const [folder, bin, calls] = [path.join(top, 'clone'), path.join(top, 'bin'), path.join(top, 'npm-calls')];
  await mkdir(folder);
  await mkdir(bin);
  for (const name of [
    'src',
    'tools',
    'sandbox',
    'ui',
    'worker',
    'skills',
    'scripts',
    'package.json',
    'package-lock.json',
    '.npmrc',
  ]) {
    await cp(path.join(repository, name), path.join(folder, name), { recursive: true });
  }
  for (const name of programs) {
    const says = name.startsWith('python') ? 'echo 3.12.4; echo True' : ':';
    await writeFile(path.join(bin, name), `#!/bin/sh\n${says}\n`);
    await chmod(path.join(bin, name), 0o755);
  }
  const npm = path.join(top, 'npm-cli.js');
  await writeFile(npm, NPM);
  const clone: Clone = {
    folder,
    bin,
    npmCalls: async () => (existsSync(calls) ? (await readFile(calls, 'utf8')).length : 0),
    async setUp({ nodeOptions = [] } = {}) {
      const { exitCode, stderr } = await clone.start(nodeOptions);
      return { exitCode, said: stderr };
    },
    start: (nodeOptions = []) =>
      execa(process.execPath, [...nodeOptions, 'scripts/bootstrap.mjs'], {
        cwd: folder,
        env: { PATH: bin, HOME: top, npm_execpath: npm, NPM_CALLS: calls, NPM_PACKAGES: repository },
        extendEnv: false,
        reject: false,
        stdin: 'ignore',
      }),
  };
  return clone;
}

/**
 * An npm that needs no network: it links the installed packages, fails or hangs on request, and creates a bill of materials from the
 * lockfile.
 */
const NPM = `
const fs = require('node:fs');
const path = require('node:path');
if (process.argv[2] === 'sbom') {
  const { packages } = JSON.parse(fs.readFileSync('package-lock.json', 'utf8'));
  const components = Object.entries(packages).map(([folder, { version }]) => ({
    'bom-ref': folder.split('node_modules/').at(-1) + '@' + version,
  }));
  process.stdout.write(JSON.stringify({ metadata: { component: { 'bom-ref': 'own' } }, components }));
  process.exit();
}
fs.appendFileSync(process.env.NPM_CALLS, '.');
fs.rmSync('node_modules', { recursive: true, force: true });
fs.mkdirSync('node_modules');
const from = path.join(process.env.NPM_PACKAGES, 'node_modules');
for (const [index, name] of fs.readdirSync(from).entries()) {
  if (index === 50 && fs.existsSync('fail-halfway')) process.exit(1);
  if (index === 50 && fs.existsSync('hang-halfway')) {
    fs.writeFileSync('npm.pid', String(process.pid));
    setInterval(() => {}, 1000);
    return;
  }
  if (!name.startsWith('.')) fs.symlinkSync(path.join(from, name), path.join('node_modules', name));
}
`;

/** Links the private Python environment of this repository: creating one takes a minute and the network. */
async function linkPython({ folder }: Clone): Promise<void> {
  await mkdir(path.join(folder, '.cache'));
  await symlink(path.join(repository, '.cache', 'python'), path.join(folder, '.cache', 'python'));
}

const hasPython = existsSync(path.join(repository, '.cache', 'python', 'dstack-sandbox.stamp'));

test('all missing requirements are reported before anything is installed', async () => {
  const clone = await makeClone([]);
  const { exitCode, said } = await clone.setUp();
  expect(exitCode).toBe(1);
  expect(said).toContain('nothing was installed');
  expect(said).toContain('dstack needs Python 3.10 or later; none was found on PATH.');
  expect(said).toContain('git is missing');
  expect(said).toContain('no ssh and ssh-keygen on PATH');
  expect(said.match(/Install it: |It is part of/g)).toHaveLength(3);
  expect(await clone.npmCalls()).toBe(0);
  expect(existsSync(path.join(clone.folder, 'node_modules'))).toBe(false);
});

test('only missing requirements are reported', async () => {
  const clone = await makeClone(['python3', 'git', 'ssh-keygen']);
  const { exitCode, said } = await clone.setUp();
  expect(exitCode).toBe(1);
  expect(said).toContain('The OpenSSH client is missing: no ssh on PATH.');
  expect(said).not.toContain('Python');
});

test('an outdated Node is reported with a hint to update it', async () => {
  const clone = await makeClone([]);
  const pretend = 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.18.3"}})';
  const { exitCode, said } = await clone.setUp({
    nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`],
  });
  expect(exitCode).toBe(1);
  expect(said).toMatch(/^Node 20\.18\.3 is too old: 20\.19 or later is required\.\n.*nodejs\.org/);
});

test('a missing npm is reported', async () => {
  const clone = await makeClone(['python3', 'git', 'ssh', 'ssh-keygen']);
  const { exitCode, said } = await execa(process.execPath, ['scripts/bootstrap.mjs'], {
    cwd: clone.folder,
    env: { PATH: clone.bin },
    extendEnv: false,
    reject: false,
  }).then(({ exitCode: code, stderr }) => ({ exitCode: code, said: stderr }));
  expect(exitCode).toBe(1);
  expect(said).toContain('npm is not on PATH');
});

/** Presses Ctrl-C during the installation, which ends npm and says so without a stack trace. */
async function interrupt(clone: Clone): Promise<void> {
  await writeFile(path.join(clone.folder, 'hang-halfway'), '');
  const running = clone.start();
  const pidFile = path.join(clone.folder, 'npm.pid');
  await vi.waitUntil(() => existsSync(pidFile), { timeout: 60_000 });
  const npmPid = Number(await readFile(pidFile, 'utf8'));
  running.kill('SIGINT');
  const { exitCode, stderr } = await running;
  expect(exitCode).toBe(130);
  expect(stderr).toBe('Installing node packages…\nStopped. The next run repairs an incomplete setup.');
  expect(() => process.kill(npmPid, 0)).toThrow('ESRCH');
  await rm(path.join(clone.folder, 'hang-halfway'));
}

test.skipIf(!hasPython)(
  'a failed or interrupted setup is repaired by the next run, and a run with nothing to do is silent',
  async () => {
    const clone = await makeClone(['git', 'ssh', 'ssh-keygen']);
    await linkPython(clone);

    await writeFile(path.join(clone.folder, 'fail-halfway'), '');
    const broken = await clone.setUp();
    expect(broken.exitCode).toBe(1);
    expect(broken.said).toContain('It repairs an incomplete installation.');
    expect(existsSync(path.join(clone.folder, 'node_modules'))).toBe(true);
    await rm(path.join(clone.folder, 'fail-halfway'));

    if (process.platform !== 'win32') await interrupt(clone);
    const failed = await clone.npmCalls();
    const repaired = await clone.setUp();
    expect(repaired.said).toContain('Setup complete');
    expect(repaired.exitCode).toBe(0);
    const installed = await clone.npmCalls();
    expect(installed).toBe(failed + 1);
    const { stdout } = await execa(process.execPath, ['dist/dstack-mcp.mjs', '--version'], { cwd: clone.folder });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+$/);

    expect(await clone.setUp()).toEqual({ exitCode: 0, said: '' });
    expect(await clone.npmCalls()).toBe(installed);

    // A killed build leaves no stamp; a killed setup leaves its lock.
    await rm(path.join(clone.folder, 'dist', '.stamp'));
    await rm(path.join(clone.folder, 'dist', 'sandbox.cjs'));
    await writeFile(path.join(clone.folder, '.cache', 'setup.lock'), String(endedProcess()));
    const rebuilt = await clone.setUp();
    expect(rebuilt.said).toMatch(/^Building…\nSetup complete/);
    expect(await clone.npmCalls()).toBe(installed);
    expect((await readdir(path.join(clone.folder, '.cache'))).sort()).toEqual(['python']);
  },
);

/** Returns the ID of a process that has exited. */
function endedProcess(): number {
  return spawnSync(process.execPath, ['--eval', '']).pid;
}
