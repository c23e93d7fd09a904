import path from 'node:path';
import { expect, test } from 'vitest';
import { LAYERS } from '../../scripts/docs/layers.ts';
import { readSources } from '../support/read-imports.ts';

/** The folders of the server, lowest first. */
const FOLDERS = LAYERS.map(({ folder }) => folder);

/** Reserved to the listed files. A file that no longer does it must be removed from the list. */
const RESERVED: readonly { readonly what: string; readonly code: RegExp; readonly files: readonly string[] }[] = [
  {
    what: 'talk MCP',
    code: /'@modelcontextprotocol\//,
    files: [
      'sandbox/demo.ts',
      'src/mcp/client.ts',
      'src/mcp/prompts.ts',
      'src/mcp/resources.ts',
      'src/mcp/server.ts',
      'src/mcp/subscriptions.ts',
      'src/mcp/tools.ts',
    ],
  },
  { what: 'make the log', code: /'pino'/, files: ['src/observability/create-log.ts'] },
  {
    what: 'read the command line or end the process',
    code: /(?<!')\bprocess\.(?:argv|exit)\b/,
    files: ['src/bin/launch.ts', 'src/bin/main.ts'],
  },
  {
    what: 'make a consent',
    code: /\bgrantConsent\b/,
    files: ['src/safety/consent/consent.ts', 'src/safety/consent/redemption.ts'],
  },
  {
    what: 'start a process',
    code: /'(?:execa|node:child_process|node:cluster|node:worker_threads)'/,
    files: [
      'sandbox/dstack-server.ts',
      'sandbox/end-tunnels.ts',
      // Commands of simulated containers, isolated.
      'sandbox/machines/namespace.ts',
      'sandbox/machines/real-session.ts',
      'sandbox/python-environment.ts',
      'sandbox/ssh-keys.ts',
      'sandbox/template-database.ts',
      'src/attachments/attachment-processes.ts',
      'src/attachments/start-attachment.ts',
      'src/doctor/local-checks.ts',
      'src/dstack/run/processes.ts',
      'src/dstack/run/spawn-dstack.ts',
      'src/dstack/warm/introspection.ts',
      'src/dstack/warm/spare-process.ts',
      'src/dstack/warm/worker.ts',
      'src/remote/ssh-shell.ts',
      'src/safety/dialog/dialog.ts',
    ],
  },
  {
    // The CLI talks to dstack. Three look for a free port and speak to the warm processes, and the last one asks services for a user.
    what: 'open a connection',
    code: /'node:(?:net|tls|dgram|http|https|http2)'|\bfetch\(|\bWebSocket\b/,
    files: [
      'sandbox/addresses.ts',
      'sandbox/cloud/https-proxy.ts',
      'sandbox/dstack-server.ts',
      'sandbox/machines/container.ts',
      'sandbox/machines/http-json.ts',
      'sandbox/machines/runner.ts',
      'sandbox/machines/shim.ts',
      'sandbox/machines/simulated-host.ts',
      'sandbox/machines/ssh-server.ts',
      'sandbox/rest-client.ts',
      'src/attachments/attach-output.ts',
      'src/dstack/warm/spare-process.ts',
      'src/dstack/warm/worker.ts',
      'src/remote/http-exchange.ts',
    ],
  },
  // Except for traces, which go to the collector that an operator named.
  { what: 'send traces', code: /'@opentelemetry\//, files: ['src/observability/traces.ts'] },
  { what: 'use a shell', code: /\bshell: true\b|'(?:ba|z|da)?sh',? *\['?-l?c/, files: [] },
  { what: 'know that it is tested', code: /\bVITEST\b|\bNODE_ENV\b|'vitest|\.\.\/test\//, files: [] },
];

const sources = readSources(['src', 'tools', 'sandbox']);
const imports = sources.flatMap((source) => source.imports).filter(({ to }) => !to.startsWith('node:'));
const groupByFile = (all: typeof imports): ReadonlyMap<string, typeof imports> => {
  const groups = new Map<string, typeof imports>();
  for (const one of all) groups.set(one.from, [...(groups.get(one.from) ?? []), one]);
  return groups;
};
const folderOf = (file: string): string => path.posix.dirname(file);

test('every folder of the server has a place in the list of layers', () => {
  const folders = new Set(sources.map(({ file }) => folderOf(file)).filter((folder) => !folder.startsWith('sandbox')));
  expect([...folders].sort()).toEqual([...FOLDERS].sort());
});

test('a folder imports only folders below it, types included', () => {
  const upward = imports.filter(({ from, to }) => {
    const [own, other] = [FOLDERS.indexOf(folderOf(from)), FOLDERS.indexOf(folderOf(to))];
    return own >= 0 && other > own;
  });
  expect(upward.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test('no file imports itself through others, types included', () => {
  const targets = groupByFile(imports);
  const finished = new Set<string>();
  const circles: string[] = [];
  const visit = (file: string, way: readonly string[]): void => {
    if (way.includes(file)) circles.push([...way.slice(way.indexOf(file)), file].join(' -> '));
    if (finished.has(file) || way.includes(file)) return;
    for (const { to } of targets.get(file) ?? []) visit(to, [...way, file]);
    finished.add(file);
  };
  for (const { file } of sources) visit(file, []);
  expect(circles).toEqual([]);
});

test('only src/bin imports a tool by name', () => {
  const toTools = imports.filter(({ from, to }) => to.startsWith('tools/') && !from.startsWith('tools/'));
  expect([...new Set(toTools.map(({ from }) => folderOf(from)))]).toEqual(['src/bin']);
});

test('a tool gets what it may do as an argument: it imports no runner, no gate and no process', () => {
  const allowed =
    /^(?:tools\/|src\/core\/|src\/tool\/tool\.ts|src\/dstack\/(?:output|describe)\/|src\/changes\/change-facts\.ts|src\/remote\/report-(?:answer|exec)\.ts|zod$)/;
  const stray = imports.filter(
    ({ from, to, kind }) => from.startsWith('tools/') && kind !== 'type' && !allowed.test(to),
  );
  expect(stray.map(({ from, to }) => `${from} imports ${to}`)).toEqual([]);
});

test.each(RESERVED)('only the listed files may $what', ({ code, files }) => {
  expect(sources.filter((source) => code.test(source.code)).map(({ file }) => file)).toEqual(files);
});

test('errors.ts imports nothing, and the sandbox is loaded only when it is asked for', () => {
  expect(sources.find(({ file }) => file === 'src/core/errors.ts')?.imports).toEqual([]);
  expect(imports.filter(({ from, to }) => from.startsWith('src/') && to.startsWith('sandbox/'))).toEqual([
    { from: 'src/bin/main.ts', to: 'sandbox/main.ts', kind: 'lazy' },
  ]);
});

test('the sandbox imports nothing of the server but the lock, which runs without packages', () => {
  const toServer = imports.filter(({ from, to }) => from.startsWith('sandbox/') && /^(?:src|tools)\//.test(to));
  expect([...new Set(toServer.map(({ to }) => to))]).toEqual(['src/core/exclusive-lock.mjs']);
  const lock = sources.find(({ file }) => file === 'src/core/exclusive-lock.mjs');
  expect(lock?.imports.filter(({ to }) => !to.startsWith('node:'))).toEqual([]);
});

test('imports of values, of types and at run time are distinguished', () => {
  expect([...new Set(imports.map(({ kind }) => kind))].sort()).toEqual(['lazy', 'type', 'value']);
  const server = sources.find(({ file }) => file === 'src/mcp/tools.ts');
  // A statement over several lines, and one for types, of the same package.
  expect(server?.imports.filter(({ to }) => to === '@modelcontextprotocol/server').map(({ kind }) => kind)).toEqual([
    'value',
    'type',
  ]);
});
