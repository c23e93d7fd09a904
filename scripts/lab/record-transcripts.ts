// Records what dstack prints, for the tests of its readers, against a sandbox with the pinned server:
//   npm run lab -- record-transcripts                                  the pinned dstack, into test/fixtures/transcripts
//   npm run lab -- record-transcripts --cli 0.21.5 --to /tmp/recorded  another CLI, into another folder
//   npm run lab -- record-transcripts --only plan-task-create,ps-json  the steps before them run too, but are not written
// For a version that has a folder already, writes the transcripts that it contains, unless --all is given.
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import getPort from 'get-port';
import { stringify } from 'yaml';
import * as z from 'zod';
import { DSTACK_VERSION, preparePythonEnvironment } from '../../sandbox/python-environment.ts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { FILES } from './transcripts/configurations.ts';
import { Normalizer } from './transcripts/normalize.ts';
import { STEPS } from './transcripts/steps.ts';
import type { Step } from './transcripts/steps.ts';

const PATIENCE_MS = 120_000;
const root = path.resolve(import.meta.dirname, '../..');
const transcripts = path.join(root, 'test', 'fixtures', 'transcripts');
const { values } = parseArgs({
  options: {
    cli: { type: 'string', default: DSTACK_VERSION },
    to: { type: 'string', default: transcripts },
    only: { type: 'string' },
    all: { type: 'boolean', default: false },
  },
});

const runStatus = z.object({ status: z.string() });

interface Place {
  readonly sandbox: Sandbox;
  readonly cli: string;
  readonly folder: string;
  readonly normalizer: Normalizer;
}

interface Printed {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const ends: (() => Promise<unknown>)[] = [];
try {
  const place = await prepare();
  const wanted = await chooseNames();
  const target = path.join(path.resolve(values.to), values.cli);
  await mkdir(target, { recursive: true });
  for (const step of STEPS) await runStep(place, step, { wanted, target });
} finally {
  for (const end of ends.toReversed()) await end();
}

/** Returns the names to write; undefined for all. */
async function chooseNames(): Promise<ReadonlySet<string> | undefined> {
  if (values.only !== undefined) return new Set(values.only.split(','));
  const existing = path.join(transcripts, values.cli);
  if (values.all || !existsSync(existing)) return undefined;
  return new Set((await readdir(existing)).map((file) => path.basename(file, '.txt')));
}

/** Starts the sandbox and the projects, and writes the configurations. */
async function prepare(): Promise<Place> {
  const environment = await prepareEnvironment(DSTACK_VERSION);
  const binFolder = path.join(await prepareEnvironment(values.cli), 'bin');
  const sandbox = await startSandbox({
    pythonEnvironment: environment,
    cacheFolder: path.join(root, '.cache', 'sandbox'),
    fleets: 'none',
    onProgress: say,
  });
  ends.push(() => sandbox.stop());
  await limitOffers(sandbox);
  await createProjects(sandbox);
  const folder = await mkdtemp(path.join(tmpdir(), 'record-'));
  ends.push(() => rm(folder, { recursive: true, force: true }));
  const down = await getPort();
  const html = await startHtmlServer();
  await writeConfig(sandbox, { down, html });
  await writeFiles(folder);
  const normalizer = new Normalizer([
    [path.dirname(binFolder), '/opt/dstack'],
    [folder, '/srv'],
    [sandbox.home, '/home/me'],
    [sandbox.url, 'http://127.0.0.1:3999'],
    [`127.0.0.1:${down}`, '127.0.0.1:3998'],
    [`127.0.0.1:${html}`, '127.0.0.1:3997'],
  ]);
  return { sandbox, cli: path.join(binFolder, 'dstack'), folder, normalizer };
}

async function prepareEnvironment(version: string): Promise<string> {
  const cache = path.join(root, '.cache');
  const folder = version === DSTACK_VERSION ? path.join(cache, 'python') : path.join(cache, 'matrix', version);
  await preparePythonEnvironment({ folder, version, onProgress: say });
  return folder;
}

/** Leaves the offers that the tests of the readers name: two available ones, and one that is sold out. */
async function limitOffers({ controls: { cloud } }: Sandbox): Promise<void> {
  const offers = cloud.offers.filter(({ instanceType }) =>
    ['rtx4090.1', 'rtx5090.1', 'rtx5090.2'].includes(instanceType),
  );
  await cloud.setOffers(
    offers.map((offer) => (offer.instanceType === 'rtx5090.2' ? { ...offer, available: 0 } : offer)),
  );
}

/** Creates the project of the recordings and one without fleets. */
async function createProjects(sandbox: Sandbox): Promise<void> {
  for (const name of ['lab', 'out-empty']) {
    await sandbox.createProject(name);
    for (const type of ['cloudrift', 'runpod'])
      await sandbox.request(`/api/project/${name}/backends/create`, {
        type,
        creds: { type: 'api_key', api_key: 'sandbox-key' },
      });
  }
}

/** Serves pages as proxies and sign-in pages do: the path says with which status. */
async function startHtmlServer(): Promise<number> {
  const server = createServer((request, response) => {
    const status = { '403': 403, '500': 502 }[request.url?.split('/')[1] ?? ''] ?? 200;
    response.writeHead(status, { 'content-type': 'text/html' }).end('<!DOCTYPE html><html><body>Sign in</body></html>');
  });
  const port = await getPort();
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  ends.push(async () => server.close());
  return port;
}

/** Writes the CLI's projects: the real ones, and one for each error of the connection. */
async function writeConfig({ home, url, token }: Sandbox, ports: { down: number; html: number }): Promise<void> {
  const html = `http://127.0.0.1:${ports.html}`;
  const projects = [
    { name: 'lab', url, token, default: true },
    { name: 'out-empty', url, token },
    { name: 'wrong-token', url, token: 'wrong' },
    { name: 'down', url: `http://127.0.0.1:${ports.down}`, token },
    { name: 'html', url: html, token },
    { name: 'html403', url: `${html}/403`, token },
    { name: 'html500', url: `${html}/500`, token },
    { name: 'missing', url, token },
  ];
  await writeFile(path.join(home, '.dstack', 'config.yml'), stringify({ projects }));
  const withoutDefault = path.join(`${home}-2`, '.dstack');
  await mkdir(withoutDefault, { recursive: true });
  await writeFile(path.join(withoutDefault, 'config.yml'), stringify({ projects: [{ name: 'lab', url, token }] }));
}

async function writeFiles(folder: string): Promise<void> {
  for (const name of ['project', 'elsewhere']) await mkdir(path.join(folder, name));
  for (const [name, value] of Object.entries(FILES)) await writeConfiguration(folder, name, value);
  await writeFile(path.join(folder, 'elsewhere', 'task.dstack.yml'), stringify(FILES['task.dstack.yml']));
  await execa('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', path.join(folder, 'project', 'key')]);
}

function writeConfiguration(folder: string, name: string, value: object | string): Promise<void> {
  return writeFile(path.join(folder, 'project', name), typeof value === 'string' ? value : stringify(value));
}

async function runStep(
  place: Place,
  step: Step,
  { wanted, target }: { readonly wanted: ReadonlySet<string> | undefined; readonly target: string },
): Promise<void> {
  const { sandbox, folder, normalizer } = place;
  for (const [name, value] of Object.entries(step.files ?? {})) await writeConfiguration(folder, name, value);
  if (step.pull !== undefined) sandbox.controls.scenarios.set(step.pull[0], { pullMs: step.pull[1] });
  if (step.waitFor !== undefined) await waitForRun(sandbox, step.waitFor);
  if (step.argv === undefined) return;
  const printed = await runUntil(place, step);
  if (step.name === undefined || wanted?.has(step.name) === false) return;
  const { code, stdout, stderr } = printed;
  const command = step.argv.replace('{elsewhere}', '/srv/elsewhere');
  const text = `$ dstack ${command}\nexit ${code}\n--- stdout\n${stdout}--- stderr\n${stderr}`;
  await writeFile(path.join(target, `${step.name}.txt`), normalizer.normalize(text));
  say(`${step.name} (exit ${code})`);
}

/** Runs the command; again and again while its output isn't the wanted one. */
async function runUntil(place: Place, step: Step): Promise<Printed> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await delay(500)) {
    const printed = await runOnce(place, step);
    if (step.until === undefined || step.until.test(printed.stdout)) return printed;
    if (Date.now() > deadline)
      throw new Error(`dstack ${step.argv} never printed ${step.until.source}:\n${printed.stdout}${printed.stderr}`);
  }
}

async function runOnce({ sandbox, cli, folder }: Place, step: Step): Promise<Printed> {
  const words = (step.argv ?? '').replace('{elsewhere}', path.join(folder, 'elsewhere')).split(' ');
  const home = step.withoutDefault === true ? { HOME: `${sandbox.home}-2` } : {};
  const result = await execa(cli, words, {
    cwd: path.join(folder, 'project'),
    env: { ...sandbox.env, ...home, COLUMNS: '500', NO_COLOR: '1' },
    extendEnv: false,
    input: step.input ?? 'n\n',
    reject: false,
    stripFinalNewline: false,
    timeout: PATIENCE_MS,
  });
  return { code: result.exitCode ?? -1, stdout: result.stdout, stderr: result.stderr };
}

async function waitForRun(sandbox: Sandbox, [name, status]: readonly [string, string]): Promise<void> {
  for (const deadline = Date.now() + PATIENCE_MS; ; await delay(200)) {
    const found = runStatus.parse(await sandbox.request('/api/project/lab/runs/get', { run_name: name }));
    if (found.status === status) return;
    if (Date.now() > deadline) throw new Error(`${name} is ${found.status} and never became ${status}`);
  }
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}
