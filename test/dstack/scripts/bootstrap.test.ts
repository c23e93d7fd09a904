import { execa } from 'execa';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, mkdtemp, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { repositoryRoot } from '../../support/paths.ts';

const repository = repositoryRoot;

interface Clone {
  readonly folder: string;
  readonly bin: string;
  /** How often npm was called to install. */
  npmCalls(): Promise<number>;
  setUp(options?: { nodeOptions?: string[] }): Promise<{ exitCode: number | undefined; said: string }>;
}

/** Makes what git would give, on a machine whose PATH holds nothing but the programs named. */
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
  return {
    folder,
    bin,
    npmCalls: async () => (existsSync(calls) ? (await readFile(calls, 'utf8')).length : 0),
    async setUp({ nodeOptions = [] } = {}) {
      const { exitCode, stderr } = await execa(process.execPath, [...nodeOptions, 'scripts/bootstrap.mjs'], {
        cwd: folder,
        env: { PATH: bin, HOME: top, npm_execpath: npm, NPM_CALLS: calls, NPM_PACKAGES: repository },
        extendEnv: false,
        reject: false,
        stdin: 'ignore',
      });
      return { exitCode, said: stderr };
    },
  };
}

/** An npm that needs no network: it links the packages that are here, dies half-way where it is told to, and makes a bill of materials from the lock file. */
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
  if (index === 50 && fs.existsSync('die-half-way')) process.exit(1);
  if (!name.startsWith('.')) fs.symlinkSync(path.join(from, name), path.join('node_modules', name));
}
`;

/** Gives the clone the private Python environment that is here: making one takes a minute and the network. */
async function linkPython({ folder }: Clone): Promise<void> {
  await mkdir(path.join(folder, '.cache'));
  await symlink(path.join(repository, '.cache', 'python'), path.join(folder, '.cache', 'python'));
}

const hasPython = existsSync(path.join(repository, '.cache', 'python', 'dstack-sandbox.stamp'));

test('on a machine that lacks everything, all of it is named before anything is installed', async () => {
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

test('a machine that lacks ssh alone hears of ssh alone', async () => {
  const clone = await makeClone(['python3', 'git', 'ssh-keygen']);
  const { exitCode, said } = await clone.setUp();
  expect(exitCode).toBe(1);
  expect(said).toContain('The OpenSSH client is missing: no ssh on PATH.');
  expect(said).not.toContain('Python');
});

test('a Node that is too old is told with a way to a newer one', async () => {
  const clone = await makeClone([]);
  const pretend = 'Object.defineProperty(process,"versions",{value:{...process.versions,node:"20.18.3"}})';
  const { exitCode, said } = await clone.setUp({
    nodeOptions: ['--import', `data:text/javascript,${encodeURIComponent(pretend)}`],
  });
  expect(exitCode).toBe(1);
  expect(said).toMatch(/^Node 20\.18\.3 is too old: 20\.19 or later is needed\.\n.*nodejs\.org/);
});

test('without npm it says so', async () => {
  const clone = await makeClone(['python3', 'git', 'ssh', 'ssh-keygen']);
  const { exitCode, said } = await execa(process.execPath, ['scripts/bootstrap.mjs'], {
    cwd: clone.folder,
    env: { PATH: clone.bin },
    extendEnv: false,
    reject: false,
  }).then(({ exitCode: code, stderr }) => ({ exitCode: code, said: stderr }));
  expect(exitCode).toBe(1);
  expect(said).toContain('there is no npm on PATH');
});

test.skipIf(!hasPython)(
  'what was interrupted is repaired by the next call, and a call that finds everything done is silent',
  async () => {
    const clone = await makeClone(['git', 'ssh', 'ssh-keygen']);
    await linkPython(clone);

    await writeFile(path.join(clone.folder, 'die-half-way'), '');
    const broken = await clone.setUp();
    expect(broken.exitCode).toBe(1);
    expect(broken.said).toContain('What is half done is repaired.');
    expect(existsSync(path.join(clone.folder, 'node_modules'))).toBe(true);

    await rm(path.join(clone.folder, 'die-half-way'));
    const repaired = await clone.setUp();
    expect(repaired.said).toContain('Everything is set up');
    expect(repaired.exitCode).toBe(0);
    expect(await clone.npmCalls()).toBe(2);
    const { stdout } = await execa(process.execPath, ['dist/dstack-mcp.mjs', '--version'], { cwd: clone.folder });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+$/);

    expect(await clone.setUp()).toEqual({ exitCode: 0, said: '' });
    expect(await clone.npmCalls()).toBe(2);

    // A build that was killed leaves no stamp; a set-up that was killed leaves its lock.
    await rm(path.join(clone.folder, 'dist', '.stamp'));
    await rm(path.join(clone.folder, 'dist', 'sandbox.cjs'));
    await writeFile(path.join(clone.folder, '.cache', 'setup.lock'), String(endedProcess()));
    const rebuilt = await clone.setUp();
    expect(rebuilt.said).toMatch(/^Building…\nEverything is set up/);
    expect(await clone.npmCalls()).toBe(2);
    expect((await readdir(path.join(clone.folder, '.cache'))).sort()).toEqual(['python']);
  },
);

/** The id of a process that is no more. */
function endedProcess(): number {
  return spawnSync(process.execPath, ['--eval', '']).pid;
}
