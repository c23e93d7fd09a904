import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeEach, expect, test } from 'vitest';
import * as z from 'zod';
import type { ExpectedChange, HeldAnswer, WireRule } from '../../../src/dstack/run/runner.ts';
import { sha256 } from '../../../src/core/values.ts';
import { listenOnLoopback } from '../../support/listen-on-loopback.ts';
import { openPython } from '../../support/run-python.ts';

/** The requests that the server received, in order: path, body, and the encodings of the response that it accepts. */
let received: { readonly path: string; readonly body: unknown; readonly accepts: unknown }[] = [];
/** Paths whose response is lost: the connection is cut after the request was received. */
let cut: ReadonlySet<string> = new Set();
/** The beginnings of responses that never end, by path. */
let endless: Readonly<Record<string, string>> = {};
/** The server's answers by path, as JSON, as the page of a proxy or as bytes; `{}` by default. */
let answers: Readonly<Record<string, unknown>> = {};
/** The server's statuses by path; 200 by default. */
let statuses: Readonly<Record<string, number>> = {};
/** Headers of the server's answers by path. */
let headers: Readonly<Record<string, Record<string, string>>> = {};
/** How long the look-up after a change may take. */
let lookUpSeconds = 60;

/** Sends a byte every few milliseconds, so that no part of a response takes long. */
function sendForever(socket: Socket, beginning: string): void {
  socket.write(beginning);
  const timer = setInterval(() => socket.write(' '), 5);
  socket.once('close', () => clearInterval(timer));
}

const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const path = request.url ?? '';
    const text = Buffer.concat(chunks).toString();
    const isForm = request.headers['content-type']?.startsWith('multipart/') === true;
    const body: unknown = text === '' ? undefined : isForm ? text : JSON.parse(text);
    received.push({ path, body, accepts: request.headers['accept-encoding'] });
    const answer = answers[path] ?? {};
    const content = typeof answer === 'string' || answer instanceof Buffer ? answer : JSON.stringify(answer);
    if (cut.has(path)) request.socket.destroy();
    else if (endless[path] !== undefined) sendForever(request.socket, endless[path]);
    else response.writeHead(statuses[path] ?? 200, headers[path]).end(content);
  });
});
const runPython = openPython('requests, tarfile, wire_gate', afterAll);
const url = `http://127.0.0.1:${await listenOnLoopback(server, afterAll)}`;

beforeEach(() => {
  received = [];
  cut = new Set();
  endless = {};
  answers = {};
  statuses = {};
  headers = {};
  lookUpSeconds = 60;
});

const MAIN = '/api/project/main';
const SPEC = { run_name: 'train', configuration: { type: 'task', commands: ['python train.py'], nodes: null } };

interface Sent {
  readonly path: string;
  readonly body?: unknown;
  readonly method?: string;
  /** A whole URL, instead of a path on the server. */
  readonly url?: string;
}

const results = z.object({
  events: z.array(z.looseObject({ event: z.string(), path: z.string() })),
  results: z.array(z.string()),
});

/** Sends requests through `requests`, as dstack does, in one process with the gate, which gets this answer if it asks. */
async function send(
  rule: Partial<WireRule>,
  requests: readonly Sent[],
  answer: HeldAnswer | null = null,
): Promise<z.output<typeof results>> {
  const whole = { server: url, project: 'main', handOver: false, asks: answer !== null, ...rule };
  const calls = requests.map(({ path, body, method = 'POST', url: other }) => ({
    method,
    url: other ?? `${url}${path}`,
    body: body === undefined ? null : JSON.stringify(body),
  }));
  return results.parse(
    await runPython(`
import control_frames, requests, wire_gate
events, results = [], []
answer = json.loads(${JSON.stringify(JSON.stringify(answer))})
wire_gate._LOOK_UP_SECONDS = ${lookUpSeconds}
tell = lambda event: events.append(json.loads(control_frames.to_json(event)))
wire_gate.install(json.loads(${JSON.stringify(JSON.stringify(whole))}), tell, lambda: answer)
session = requests.Session()
for call in json.loads(${JSON.stringify(JSON.stringify(calls))}):
    try:
        results.append(str(session.request(call["method"], call["url"], data=call["body"]).status_code))
    except Exception as error:
        results.append(type(error).__name__)
print(json.dumps({"events": events, "results": results}))
`),
  );
}

/** The SHA-256 that the gate reports for a specification. */
async function digestOf(spec: object): Promise<string> {
  const { events } = await send({}, [{ path: `${MAIN}/runs/get_plan`, body: { run_spec: spec } }]);
  received = [];
  return z.object({ sha256: z.string() }).parse(events[0]).sha256;
}

const mayApply = async (spec: object): Promise<{ changes: ExpectedChange[] }> => ({
  changes: [{ path: 'runs/apply', plan: { path: 'runs/get_plan', sha256: await digestOf(spec) } }],
});

const plan = (spec: object): Sent => ({ path: `${MAIN}/runs/get_plan`, body: { run_spec: spec } });
const apply = (spec: object, more: object = {}): Sent => ({
  path: `${MAIN}/runs/apply`,
  body: { plan: { run_spec: spec, current_resource: null }, force: false, ...more },
});

test('a command that may change nothing reads and plans', async () => {
  const paths = ['runs/list', 'runs/get', 'fleets/get', 'logs/poll', 'runs/get_plan', 'volumes/list'];
  const { results: statuses } = await send(
    {},
    paths.map((path) => ({ path: `${MAIN}/${path}`, body: {} })),
  );
  expect(statuses).toEqual(paths.map(() => '200'));
  expect(received).toHaveLength(paths.length);
});

const CHANGES = [
  'runs/apply',
  'runs/stop',
  'runs/delete',
  'fleets/apply',
  'fleets/delete',
  'volumes/create',
  'gateways/delete',
  'secrets/create_or_update',
  'repos/init',
  'files/upload_archive',
  'runs/submit_something_new',
  'budget',
];

test('a command that may change nothing never sends a change, known or not', async () => {
  const { events, results: errors } = await send(
    {},
    CHANGES.map((path) => ({ path: `${MAIN}/${path}`, body: { runs_names: ['train'] } })),
  );
  expect(received).toEqual([]);
  expect(errors).toEqual(CHANGES.map(() => 'Denied'));
  expect(events).toMatchObject(CHANGES.map((path) => ({ event: 'denied', path })));
});

test('nothing goes to another host, port or scheme than those of the server', async () => {
  const { port } = new URL(url);
  const others = [
    `http://localhost:${port}${MAIN}/runs/list`,
    `http://127.0.0.1:1${MAIN}/runs/list`,
    'https://get.dstack.ai/stable/latest-version?anonymous_installation_id=1',
    `http://user@127.0.0.1.nip.example/api/project/main/runs/list`,
  ];
  const { results: errors } = await send(
    {},
    others.map((other) => ({ path: '', url: other, method: 'GET' })),
  );
  expect(errors).toEqual(['Denied', 'Denied', 'Denied', 'Denied']);
  expect(received).toEqual([]);
});

test('the daily update check is not sent, and the approved change still is', async () => {
  answers = { [`${MAIN}/runs/get_plan`]: { run_spec: SPEC } };
  const update = 'https://get.dstack.ai/cli/latest-version?anonymous_installation_id=1&version=0.22.5';
  const requests = [{ path: '', url: update, method: 'GET' }, plan(SPEC), apply(SPEC)];
  const { events, results: statuses } = await send({}, requests, await mayApply(SPEC));
  expect(statuses).toEqual(['Denied', '200', '200']);
  expect(events.map(({ event }) => event)).toEqual(['plan', 'found', 'held', 'sent', 'answered']);
});

test('a plan is reported with the digest of its specification, independent of the order of its keys', async () => {
  const reordered = Object.fromEntries(Object.entries(SPEC).reverse());
  expect(await digestOf(reordered)).toBe(await digestOf(SPEC));
  expect(await digestOf({ ...SPEC, run_name: 'other' })).not.toBe(await digestOf(SPEC));
});

test('the approved specification is submitted, with what the server filled in', async () => {
  const filled = { ...SPEC, configuration: { ...SPEC.configuration, nodes: 1 } };
  answers = { [`${MAIN}/runs/get_plan`]: { run_spec: filled } };
  const { events, results: statuses } = await send({}, [plan(SPEC), apply(filled)], await mayApply(SPEC));
  expect(statuses).toEqual(['200', '200']);
  expect(received.map(({ path }) => path)).toEqual([`${MAIN}/runs/get_plan`, `${MAIN}/runs/apply`]);
  expect(events.map(({ event }) => event)).toEqual(['plan', 'found', 'held', 'sent', 'answered']);
});

test.each([
  ['another command', { ...SPEC, configuration: { ...SPEC.configuration, commands: ['curl evil.example'] } }],
  ['another name', { ...SPEC, run_name: 'prod' }],
  ['a property that nobody asked for', { ...SPEC, configuration: { ...SPEC.configuration, privileged: true } }],
  ['a property that is missing', { run_name: 'train' }],
])('a submission that differs from its plan by %s is not sent', async (_what, changed) => {
  answers = { [`${MAIN}/runs/get_plan`]: { run_spec: SPEC } };
  const { results: errors } = await send({}, [plan(SPEC), apply(changed)], await mayApply(SPEC));
  expect(errors).toEqual(['200', 'Denied']);
  expect(received.map(({ path }) => path)).toEqual([`${MAIN}/runs/get_plan`]);
});

test('a plan that differs from the approved one is never submitted', async () => {
  const other = { ...SPEC, run_name: 'prod' };
  for (const submitted of [SPEC, other]) {
    const { results: errors } = await send({}, [plan(other), apply(submitted)], await mayApply(SPEC));
    expect(errors).toEqual(['200', 'Denied']);
  }
  expect(received.map(({ path }) => path)).not.toContain(`${MAIN}/runs/apply`);
});

test('a change waits for an answer, and is not sent if it is refused or nobody answers', async () => {
  const refused = await send({}, [plan(SPEC), apply(SPEC), apply(SPEC)], { deny: 'the price rose' });
  expect(refused.results).toEqual(['200', 'Denied', 'Denied']);
  expect(refused.events.map(({ event, why }) => [event, why])).toEqual([
    ['plan', undefined],
    ['found', undefined],
    ['held', undefined],
    ['denied', 'the price rose'],
    ['denied', expect.stringContaining('no consent')],
  ]);
  const unanswered = await send({ asks: true }, [plan(SPEC), apply(SPEC)]);
  expect(unanswered.results).toEqual(['200', 'Denied']);
  expect(received.map(({ path }) => path)).not.toContain(`${MAIN}/runs/apply`);
});

test('a command that may change something reports the resource that it looks up, and the one of its plan', async () => {
  const run = { id: 'r1', status: 'running' };
  answers = { [`${MAIN}/runs/get`]: run, [`${MAIN}/runs/get_plan`]: { run_spec: SPEC, current_resource: run } };
  const calls = [{ path: `${MAIN}/runs/get`, body: {} }, plan(SPEC)];
  const { events } = await send({ asks: true }, calls);
  expect(events).toEqual([
    { event: 'found', path: 'runs/get', value: run },
    { event: 'plan', path: 'runs/get_plan', sha256: expect.any(String), name: 'train' },
    { event: 'found', path: 'runs/get_plan', value: run },
  ]);
  expect((await send({}, calls)).events.map(({ event }) => event)).toEqual(['plan']);
});

test.each([
  ['NaN', '{"id": "r1", "cost": NaN}'],
  ['a number that is too large', '{"id": "r1", "cost": -1e999}'],
  ['more than 4 MB', { id: 'r1', more: 'x'.repeat(4 << 20) }],
])('a resource with %s is reported as unreadable', async (_what, run) => {
  const planned = typeof run === 'string' ? `{"current_resource": ${run}}` : { current_resource: run };
  answers = { [`${MAIN}/runs/get`]: run, [`${MAIN}/runs/get_plan`]: planned };
  const { events, results: statuses } = await send({ asks: true }, [
    { path: `${MAIN}/runs/get`, body: {} },
    plan(SPEC),
  ]);
  expect(statuses).toEqual(['200', '200']);
  expect(events).toEqual([
    { event: 'unreadable', path: 'runs/get' },
    expect.objectContaining({ event: 'plan' }),
    { event: 'unreadable', path: 'runs/get_plan' },
  ]);
});

const STOP = { path: 'runs/stop', body: { runs_names: ['train'], abort: false } };
const stopping: Sent = { path: `${MAIN}/runs/stop`, body: STOP.body };
const lookUp = { path: 'runs/get', body: { run_name: 'train' } };

test('the resource is looked up once, right after the last change was accepted', async () => {
  const run = { id: 'r1', status: 'submitted' };
  answers = { [`${MAIN}/runs/get`]: run };
  const allowed = { changes: [STOP, ...(await mayApply(SPEC)).changes], lookUp };
  const { events } = await send({}, [plan(SPEC), stopping, apply(SPEC)], allowed);
  expect(received.map(({ path }) => path)).toEqual(
    ['runs/get_plan', 'runs/stop', 'runs/apply', 'runs/get'].map((path) => `${MAIN}/${path}`),
  );
  expect(received.at(-1)?.body).toEqual(lookUp.body);
  expect(events.at(-1)).toEqual({ event: 'found', path: 'runs/get', value: run });
});

test('a change that was refused, or whose response was lost, is not followed by a look-up', async () => {
  statuses = { [`${MAIN}/runs/stop`]: 400 };
  expect((await send({}, [stopping], { changes: [STOP], lookUp })).results).toEqual(['400']);
  cut = new Set([`${MAIN}/runs/stop`]);
  expect((await send({}, [stopping], { changes: [STOP], lookUp })).results).toEqual(['ConnectionError']);
  expect(received.map(({ path }) => path)).not.toContain(`${MAIN}/runs/get`);
});

test('a look-up that fails proves nothing, and leaves the command alone', async () => {
  const answered = { event: 'answered', path: 'runs/stop', kind: 'change', status: 200 };
  cut = new Set([`${MAIN}/runs/get`]);
  const failed = await send({}, [stopping], { changes: [STOP], lookUp });
  expect(failed.results).toEqual(['200']);
  expect(failed.events.at(-1)).toEqual(answered);
  cut = new Set();
  statuses = { [`${MAIN}/runs/get`]: 403 };
  expect((await send({}, [stopping], { changes: [STOP], lookUp })).events.at(-1)).toEqual(answered);
  statuses = { [`${MAIN}/runs/get`]: 400 };
  answers = { [`${MAIN}/runs/get`]: { detail: [{ code: 'resource_not_exists', msg: 'Run not found' }] } };
  const { events } = await send({}, [stopping], { changes: [STOP], lookUp });
  expect(events.at(-1)).toEqual({ event: 'found', path: 'runs/get', value: null });
  for (const page of ['<h1>Maintenance</h1>', '', [], answers[`${MAIN}/runs/get`]]) {
    statuses = {};
    answers = { [`${MAIN}/runs/get`]: page };
    const { events: after } = await send({}, [stopping], { changes: [STOP], lookUp });
    expect(after.at(-1)).not.toMatchObject({ event: 'found', value: null });
  }
});

test.each([
  ['headers never end', 'HTTP/1.1 200 OK\r\nX-Slow:'],
  ['content never ends', 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{"id":'],
])('a look-up whose %s is given up, and leaves the command alone', async (_what, beginning) => {
  lookUpSeconds = 0.2;
  endless = { [`${MAIN}/runs/get`]: beginning };
  const { results: ends, events } = await send({}, [stopping], { changes: [STOP], lookUp });
  expect(ends).toEqual(['200']);
  expect(events.at(-1)).toMatchObject({ event: 'answered' });
});

test.each<[string, unknown, Record<string, string>]>([
  ['is compressed', gzipSync('{"id": "r1"}'), { 'Content-Encoding': 'gzip' }],
  ['is larger than 4 MB', { id: 'r1', more: 'x'.repeat(4 << 20) }, {}],
  ['leads elsewhere', { id: 'r1' }, { Location: `${MAIN}/runs/list` }],
])('an answer to the look-up that %s is not read', async (_what, answer, more) => {
  answers = { [`${MAIN}/runs/get`]: answer };
  headers = { [`${MAIN}/runs/get`]: more };
  statuses = { [`${MAIN}/runs/get`]: 'Location' in more ? 307 : 200 };
  const { results: ends, events } = await send({}, [stopping], { changes: [STOP], lookUp });
  expect(ends).toEqual(['200']);
  expect(events.at(-1)).toMatchObject({ event: 'answered' });
  expect(received.map(({ path }) => path)).toEqual([`${MAIN}/runs/stop`, `${MAIN}/runs/get`]);
  expect(received.at(-1)?.accepts).toBe('identity');
});

test('the code of a repository is sent with the change only, once that is allowed', async () => {
  const upload: Sent = { path: `${MAIN}/repos/upload_code`, body: {} };
  expect((await send({ handOver: true }, [upload], { deny: 'no' })).results).toEqual(['Denied']);
  expect(received).toEqual([]);
  const allowed = await send({ handOver: true }, [plan(SPEC), upload, apply(SPEC)], await mayApply(SPEC));
  expect(allowed.results).toEqual(['200', '200', '200']);
});

test('a submission without its plan, or with force, is not sent', async () => {
  const allowed = await mayApply(SPEC);
  expect((await send({}, [apply(SPEC)], allowed)).results).toEqual(['Denied']);
  expect((await send({}, [plan(SPEC), apply(SPEC, { force: true })], allowed)).results).toEqual(['200', 'Denied']);
});

test('a change whose response was lost is not sent again', async () => {
  cut = new Set([`${MAIN}/runs/apply`]);
  const { events, results: errors } = await send({}, [plan(SPEC), apply(SPEC), apply(SPEC)], await mayApply(SPEC));
  expect(errors).toEqual(['200', 'ConnectionError', 'Denied']);
  expect(received.filter(({ path }) => path.endsWith('/apply'))).toHaveLength(1);
  expect(events.map(({ event }) => event)).toEqual(['plan', 'found', 'held', 'sent', 'lost', 'denied']);
});

test('a stop goes to the approved run of the approved project, once, and nothing else follows', async () => {
  const allowed = { changes: [STOP] };
  const stop = (body: object, project = 'main'): Sent => ({ path: `/api/project/${project}/runs/stop`, body });
  const approved = { abort: false, runs_names: ['train'] };
  expect((await send({}, [stop(approved)], allowed)).results).toEqual(['200']);
  for (const other of [
    stop({ runs_names: ['prod'], abort: false }),
    stop({ runs_names: ['train', 'prod'], abort: false }),
    stop({ runs_names: ['train'], abort: true }),
    stop(approved, 'other'),
  ]) {
    received = [];
    // After a denial not even the approved request is sent: dstack may be in any state.
    expect((await send({}, [other, stop(approved)], allowed)).results).toEqual(['Denied', 'Denied']);
    expect(received).toEqual([]);
  }
});

test('a replacement stops first and submits then, never the other way round', async () => {
  const allowed = { changes: [STOP, ...(await mayApply(SPEC)).changes] };
  expect((await send({}, [plan(SPEC), stopping, apply(SPEC)], allowed)).results).toEqual(['200', '200', '200']);
  expect((await send({}, [plan(SPEC), apply(SPEC), stopping], allowed)).results).toEqual(['200', '200', 'Denied']);
});

test('files and repositories are handed over only by a command that may', async () => {
  const init: Sent = { path: `${MAIN}/repos/init`, body: { repo_id: 'none', repo_creds: null } };
  const { events, results: statuses } = await send({ handOver: true }, [init]);
  expect(statuses).toEqual(['200']);
  expect(events).toEqual([
    { event: 'sent', path: 'repos/init', kind: 'hand-over' },
    { event: 'answered', path: 'repos/init', kind: 'hand-over', status: 200 },
  ]);
});

test.each(['runs/stop', 'runs/get', 'runs/get_plan', 'repos/init', 'files/upload_archive'])(
  'while the server is unknown, nothing is sent: %s',
  async (path) => {
    const allowed = { changes: [{ path, body: {} }] };
    const sent = await send({ server: null, handOver: true }, [{ path: `${MAIN}/${path}`, body: {} }], allowed);
    expect(sent.results).toEqual(['Denied']);
  },
);

const KEY = '-----BEGIN KEY-----\nabc';
const CLONE_URL = 'https://git.example/team/code';
const ADMITTED = { sha256: sha256(KEY) };
const initWith = (creds: object): Sent => ({ path: `${MAIN}/repos/init`, body: { repo_id: 'x', repo_creds: creds } });
const fleetWith = (key: string): Sent => ({
  path: `${MAIN}/fleets/get_plan`,
  body: {
    spec: { configuration: { ssh_config: { hosts: [{ ssh_key: { public: 'ssh-rsa x', private: key } }] } } },
  },
});

test.each<[string, Sent]>([
  ['the key of a repository', initWith({ clone_url: CLONE_URL, private_key: KEY, oauth_token: null })],
  ['the token of a repository', initWith({ clone_url: CLONE_URL, private_key: null, oauth_token: KEY })],
  ['the key of a fleet, in a request that only plans', fleetWith(KEY)],
  ['a key in a request that only reads', { path: `${MAIN}/fleets/get`, body: { private: KEY } }],
])('%s is not sent unless somebody agreed to it', async (_what, request) => {
  const { events, results: errors } = await send({ handOver: true }, [request]);
  expect(errors).toEqual(['Denied']);
  expect(events).toMatchObject([{ event: 'denied', credential: true }]);
  expect(JSON.stringify(events)).not.toContain('abc');
  expect(received).toEqual([]);
  const rule = { handOver: true, credentials: [{ ...ADMITTED, cloneUrls: [CLONE_URL] }] };
  expect((await send(rule, [request])).results).toEqual(['200']);
});

test('a credential that somebody agreed to is not sent for another repository, nor another one for that', async () => {
  const rule = { handOver: true, credentials: [{ ...ADMITTED, cloneUrls: [CLONE_URL] }] };
  for (const creds of [
    { clone_url: 'https://evil.example/x', private_key: KEY },
    { clone_url: CLONE_URL, private_key: `${KEY}d` },
  ])
    expect((await send(rule, [initWith(creds)])).results).toEqual(['Denied']);
  // The key of a fleet is for no repository.
  const fleet = { handOver: true, credentials: [ADMITTED] };
  expect((await send(fleet, [initWith({ clone_url: CLONE_URL, private_key: KEY })])).results).toEqual(['Denied']);
  expect(received).toEqual([]);
});

/** The digest of an archive: the names and contents of its files. */
const digestOfFiles = (files: Readonly<Record<string, string>>): string =>
  sha256(
    Object.entries(files)
      .map(([name, content]) => sha256(`${name}\0${sha256(content)}`))
      .sort()
      .join('\n'),
  );

/** Uploads the content of a folder as dstack does, with the parts of the form changed by Python code. */
async function upload(admitted: Readonly<Record<string, string>>, change = 'pass') {
  const rule = { server: url, project: 'main', handOver: true, asks: false, archives: [digestOfFiles(admitted)] };
  return results.parse(
    await runPython(`
import io, os, requests, tarfile, tempfile, wire_gate
from pathlib import Path
events, results = [], []
folder = Path(tempfile.mkdtemp()) / "data"
(folder / "sub").mkdir(parents=True)
(folder / "a.txt").write_text("one")
(folder / "sub" / "\u00fc.txt").write_text("two")
os.symlink("a.txt", folder / "inside")
os.link(folder / "a.txt", folder / "hard")
${change}
fp = io.BytesIO()
with tarfile.TarFile(mode="w", fileobj=fp) as archive:
    for path in sorted([folder, *folder.rglob("*")]):
        archive.add(path, str(path.relative_to(folder.parent)), recursive=False)
fp.seek(0)
files = [("file", ("name", fp))]
if "more" in globals():
    files.append(("file", ("more", b"another part")))
wire_gate.install(json.loads(${JSON.stringify(JSON.stringify(rule))}), events.append)
try:
    results.append(str(requests.post(${JSON.stringify(url)} + "/api/files/upload_archive", files=files).status_code))
except Exception as error:
    results.append(type(error).__name__)
print(json.dumps({"events": events, "results": results}))
`),
  );
}

const FILES = { 'data/a.txt': 'one', 'data/hard': 'one', 'data/sub/ü.txt': 'two' };

test('files are sent if they have the names and contents that were checked', async () => {
  expect((await upload(FILES)).results).toEqual(['200']);
  expect((await upload(FILES)).events).toMatchObject([{ event: 'sent', kind: 'hand-over' }, { event: 'answered' }]);
});

test.each([
  ['another content', '(folder / "a.txt").write_text("two")'],
  ['another name', 'os.rename(folder / "a.txt", folder / "b.txt")'],
  ['one more file', '(folder / "b.txt").write_text("one")'],
  ['one file less', 'os.remove(folder / "hard")'],
  ['a second part', 'more = True'],
])('files with %s are not sent', async (_what, change) => {
  const { events, results: outcome } = await upload(FILES, change);
  expect(outcome).toEqual(['Denied']);
  expect(events).toMatchObject([{ event: 'denied', path: 'files/upload_archive', files: true }]);
  expect(received).toEqual([]);
});

test('until dstack has read the approved file, nothing is planned, handed over or changed', async () => {
  const rule = { server: url, project: 'main', handOver: true, asks: true };
  const outcome = await runPython(`
import requests, wire_gate
events, results, read = [], [], []
wire_gate.install(json.loads(${JSON.stringify(JSON.stringify(rule))}), events.append, lambda: {"changes": [{"path": "runs/stop", "body": {}}]}, lambda: bool(read))
def send(path):
    try:
        return str(requests.post(${JSON.stringify(url)} + path, data="{}").status_code)
    except Exception as error:
        return type(error).__name__
for state in ([], [True]):
    read[:] = state
    results.append([send("/api/project/main/" + path) for path in ("runs/get", "repos/init", "runs/get_plan", "runs/stop")])
print(json.dumps(results))
`);
  expect(outcome).toEqual([
    ['200', 'Denied', 'Denied', 'Denied'],
    // Nothing but reads after a denial.
    ['200', 'Denied', '200', 'Denied'],
  ]);
});

test('variables may have any name, and a public repository has no credential', async () => {
  const named = plan({ configuration: { env: { private_key: KEY } } });
  const init = initWith({ clone_url: CLONE_URL, private_key: null, oauth_token: null });
  expect((await send({ handOver: true }, [named, init])).results).toEqual(['200', '200']);
});
