import path from 'node:path';
import { expect, test } from 'vitest';
import { readSources } from './support/read-imports.ts';
import type { Import } from './support/read-imports.ts';

/**
 * Who may import what, by folder; inside a folder everything may. `type X`: types of X only. A name that ends with a slash is all
 * that is below it. `node:` modules that start processes or open connections are held by the rules below.
 */
const ALLOWED: Readonly<Record<string, readonly string[]>> = {
  tools: [
    'src/tool.ts',
    'src/fields.ts',
    'src/powers/change-facts.ts',
    'type src/powers/config-power.ts',
    // What a power throws when dstack says no: a tool may go on without what it asked for in addition.
    'src/errors.ts',
    'src/powers/command-failed.ts',
    'type src/powers/powers.ts',
    // Pure readers: text in, facts out. A tool has no runner, so it can't go round the gate.
    'src/output/explain-end.ts',
    'src/output/read-fleets.ts',
    'src/output/read-json-output.ts',
    'src/output/read-metrics.ts',
    'src/output/read-offers.ts',
    'src/output/read-resource.ts',
    'src/output/read-run.ts',
    'src/output/read-runs.ts',
    'src/output/read-table.ts',
    'src/runs/page-log.ts',
    'src/runs/wait-for.ts',
    'type src/runs/attachment-view.ts',
    'type src/cli/runner.ts',
    'zod',
  ],
  src: [
    'src/cli/',
    'src/output/',
    'src/powers/',
    'src/prompts/prompts.ts',
    'src/resources/',
    'src/runs/',
    'src/safety/',
    'src/setup/',
    'src/traces/main.ts',
    'tools/index.ts',
    'sandbox/main.ts',
    'package.json',
    '@modelcontextprotocol/server',
    '@modelcontextprotocol/server/ext/skills/node',
    '@modelcontextprotocol/server/stdio',
    'env-paths',
    'pino',
    'zod',
  ],
  // The parts that don't know one another; a type is fine.
  'src/cli': [
    'src/errors.ts',
    'type src/log.ts',
    'type src/tool.ts',
    'type src/safety/consent.ts',
    'src/write-private-file.ts',
    'execa',
    'p-limit',
    'yaml',
    'zod',
  ],
  'src/config': ['src/errors.ts', 'diff', 'yaml', 'zod'],
  'src/output': ['src/errors.ts', 'type src/tool.ts', 'type src/cli/runner.ts', 'zod'],
  'src/runs': [
    'src/errors.ts',
    'type src/log.ts',
    'type src/cli/command.ts',
    'src/write-private-file.ts',
    'execa',
    'zod',
  ],
  'src/safety': ['src/errors.ts', 'type src/tool.ts', 'type src/powers/powers.ts', 'yaml', 'zod'],
  // What clients are given beside tools: declarations, which know of tools by name alone.
  'src/resources': ['src/fields.ts', 'type src/log.ts', 'zod'],
  'src/prompts': ['src/fields.ts', 'type src/resources/name-source.ts', 'zod'],
  // Enters this server in a client's configuration: nothing of MCP, nothing of dstack.
  'src/setup': [
    'src/errors.ts',
    'src/parse-options.ts',
    'src/config/edit-text.ts',
    'src/safety/replace-file.ts',
    '@clack/prompts',
    'jsonc-parser',
    'smol-toml',
    'yaml',
  ],
  // A bundle of its own, loaded where traces are asked for.
  'src/traces': [
    'type src/call-record.ts',
    '@opentelemetry/api',
    '@opentelemetry/core',
    '@opentelemetry/exporter-trace-otlp-http',
    '@opentelemetry/exporter-trace-otlp-proto',
    '@opentelemetry/resources',
    '@opentelemetry/sdk-trace-base',
  ],
  // Where they meet.
  'src/powers': [
    'src/errors.ts',
    'type src/call.ts',
    'type src/card.ts',
    'type src/cli-finder.ts',
    // What `doctor` says of this process's calls.
    'src/counters.ts',
    'type src/engine.ts',
    'type src/tool.ts',
    'type src/cli/',
    'src/cli/check-argv.ts',
    'src/cli/nearest-names.ts',
    'src/cli/show-command.ts',
    'src/config/',
    'src/output/',
    'type src/runs/',
    'src/runs/page-log.ts',
    // No gate and no consent here: both come with the engine and the call.
    'type src/safety/',
    'src/safety/check-caps.ts',
    'src/safety/consent-text.ts',
    'src/safety/replace-file.ts',
    'execa',
    'zod',
  ],
  // The sandbox knows nothing of the server: its demo connects to it as any client does.
  sandbox: [
    'sandbox/cloud/simulated-cloud.ts',
    'type sandbox/cloud/cloudrift.ts',
    'type sandbox/cloud/offers.ts',
    'sandbox/machines/scenarios.ts',
    'sandbox/machines/simulated-host.ts',
    'scripts/find-missing.mjs',
    '@modelcontextprotocol/client',
    '@modelcontextprotocol/client/stdio',
    'cli-progress',
    'env-paths',
    'execa',
    'get-port',
    'yaml',
    'zod',
  ],
  'sandbox/cloud': ['selfsigned', 'zod'],
  'sandbox/machines': ['ssh2', 'ws', 'zod'],
};

/** What only these files may do; a file that no longer does it has to go from the list. */
const RESERVED: readonly { readonly what: string; readonly code: RegExp; readonly files: readonly string[] }[] = [
  {
    what: 'talk MCP',
    code: /'@modelcontextprotocol\//,
    files: [
      'sandbox/demo.ts',
      'src/observe-stdio.ts',
      'src/serve-card.ts',
      'src/serve-prompts.ts',
      'src/serve-resources.ts',
      'src/serve-tools.ts',
      'src/server.ts',
    ],
  },
  { what: 'make the log', code: /'pino'/, files: ['src/log.ts'] },
  {
    what: 'read the command line or end the process',
    code: /(?<!')\bprocess\.(?:argv|exit)\b/,
    files: ['src/launch.ts', 'src/main.ts'],
  },
  { what: 'make a consent', code: /\bgrantConsent\b/, files: ['src/safety/consent.ts', 'src/safety/gate.ts'] },
  {
    what: 'start a process',
    code: /'(?:execa|node:child_process|node:cluster|node:worker_threads)'/,
    files: [
      'sandbox/dstack-server.ts',
      'sandbox/end-tunnels.ts',
      'sandbox/python-environment.ts',
      'sandbox/ssh-keys.ts',
      'sandbox/template-database.ts',
      'src/cli/end-group.ts',
      'src/cli/spawn-dstack.ts',
      'src/cli/warm-introspection.ts',
      'src/cli/warm-process.ts',
      'src/powers/doctor-machine.ts',
      'src/runs/end-attachment.ts',
      'src/runs/process-identity.ts',
      'src/runs/spawn-attach.ts',
      'src/runs/ssh-tunnel.ts',
      'src/safety/dialog.ts',
    ],
  },
  {
    // The server itself talks to nobody: the CLI does. The last two speak to the worker, and look for a free port.
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
      'src/cli/warm-process.ts',
      'src/runs/attach-advice.ts',
    ],
  },
  // But for traces, to the collector that an operator named.
  { what: 'send traces', code: /'@opentelemetry\//, files: ['src/traces/main.ts'] },
  { what: 'use a shell', code: /\bshell: true\b|'(?:ba|z|da)?sh',? *\['?-l?c/, files: [] },
  { what: 'know that it is tested', code: /\bVITEST\b|\bNODE_ENV\b|'vitest|\.\.\/test\//, files: [] },
];

const sources = readSources(['src', 'tools', 'sandbox']);
const imports = sources.flatMap((source) => source.imports).filter(({ to }) => !to.startsWith('node:'));

const folderOf = (file: string): string => path.posix.dirname(file);
/** Folders below others have rules of their own; a file outside any is an import like another. */
const isInside = ({ from, to }: Import): boolean => folderOf(from) === folderOf(to) && to.endsWith('.ts');

function allows(allowance: string, { to, kind }: Import): boolean {
  const target = allowance.replace(/^type /, '');
  if (target !== allowance && kind !== 'type') return false;
  return target.endsWith('/') ? to.startsWith(target) : to === target;
}

test('every folder has its rules', () => {
  expect([...new Set(sources.map(({ file }) => folderOf(file)))].sort()).toEqual(Object.keys(ALLOWED).sort());
});

test.each(Object.entries(ALLOWED))('%s/ imports what it may, and nothing else', (folder, allowed) => {
  const own = imports.filter((one) => folderOf(one.from) === folder && !isInside(one));
  const stray = own.filter((one) => !allowed.some((allowance) => allows(allowance, one)));
  expect(stray.map(({ from, to, kind }) => `${from} imports ${kind === 'type' ? 'type ' : ''}${to}`)).toEqual([]);
  const stale = allowed.filter((allowance) => !own.some((one) => allows(allowance, one)));
  expect(stale, 'allowed, but not imported by anything: take it off the list').toEqual([]);
});

test.each(RESERVED)('only the files that are named may $what', ({ code, files }) => {
  expect(sources.filter((source) => code.test(source.code)).map(({ file }) => file)).toEqual(files);
});

test('errors.ts imports nothing, and the sandbox is loaded when it is asked for', () => {
  expect(sources.find(({ file }) => file === 'src/errors.ts')?.imports).toEqual([]);
  expect(imports.filter(({ from, to }) => from.startsWith('src/') && to.startsWith('sandbox/'))).toEqual([
    { from: 'src/main.ts', to: 'sandbox/main.ts', kind: 'lazy' },
  ]);
});

test('a value from another part is seen for what it is, wherever in the file it stands', () => {
  const kinds = new Set(imports.map(({ kind }) => kind));
  expect([...kinds].sort()).toEqual(['lazy', 'type', 'value']);
  const server = sources.find(({ file }) => file === 'src/serve-tools.ts');
  // A statement over several lines, and one for types, of the same package.
  expect(server?.imports.filter(({ to }) => to === '@modelcontextprotocol/server').map(({ kind }) => kind)).toEqual([
    'value',
    'type',
  ]);
});
