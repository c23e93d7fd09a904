/** A folder of the repository with its purpose in one line. */
export interface Folder {
  readonly folder: string;
  readonly what: string;
}

/**
 * The folders of the server, lowest first: a folder imports only from folders that precede it in this list, types included.
 * test/unit/dependencies.test.ts enforces it, and the layout in docs/architecture.md is generated from it.
 */
export const LAYERS: readonly Folder[] = [
  { folder: 'src/core', what: 'shared types and helpers: errors, reports, changes, transcripts' },
  { folder: 'src/render', what: 'reports to text and structured content: truncate, fence, redact' },
  { folder: 'src/settings', what: 'options, environment variables, state folder, version' },
  { folder: 'src/safety/files', what: 'workspace limits, safe reads and writes' },
  { folder: 'src/safety/dialog', what: 'desktop dialogs' },
  { folder: 'src/safety/audit', what: 'audit log' },
  { folder: 'src/safety/policy', what: "operator's policy file and price caps" },
  { folder: 'src/safety/consent', what: 'tokens, approval, and the gate, which is the only maker of a consent' },
  { folder: 'src/observability', what: 'log, call records, counters, OpenTelemetry traces' },
  { folder: 'src/dstack/argv', what: 'checks a command against the catalog and returns a CheckedArgv' },
  { folder: 'src/dstack/run', what: 'runs a command as a process' },
  { folder: 'src/dstack/warm', what: 'runs a command in a warm process' },
  { folder: 'src/dstack/locate', what: 'finds the executable, its interpreter and version' },
  { folder: 'src/dstack/catalog', what: 'the commands and flags that the installed CLI documents' },
  { folder: 'src/dstack/output', what: 'parses what dstack printed into typed facts' },
  { folder: 'src/dstack/describe', what: 'says what the facts of a run or resource mean, and what usually helps' },
  { folder: 'src/dstack/client', what: 'what a call may ask of dstack: reads, lookups, log pages, retry guard' },
  { folder: 'src/dstack', what: 'the installed dstack CLI' },
  { folder: 'src/configuration', what: '`*.dstack.yml` files: parse, validate, describe, edit, find' },
  { folder: 'src/attachments', what: '`dstack attach` in the background' },
  { folder: 'src/changes', what: 'plan, approve and execute changes: apply, stop, delete' },
  { folder: 'src/remote', what: 'programs in a run, over the connection of its attachment' },
  { folder: 'src/doctor', what: 'health checks' },
  { folder: 'src', what: 'app.ts, the composition root: creates every long-lived service once' },
  { folder: 'src/tool', what: 'what a tool is, and how one call of it runs' },
  { folder: 'tools', what: 'one MCP tool per file: schema, description, handler' },
  { folder: 'src/mcp', what: 'the MCP server: tools, resources, prompts, card' },
  { folder: 'src/setup', what: "adds the server to MCP clients' configuration files" },
  { folder: 'src/bin', what: "this program's command line" },
];

/** Folders that only group others. */
const GROUPS: readonly Folder[] = [{ folder: 'src/safety', what: 'consent, policy, audit, and safe file access' }];

/** Folders outside of the server. */
const OTHERS: readonly Folder[] = [
  { folder: 'worker', what: 'the Python side of src/dstack: warm processes, launcher, gate on requests' },
  { folder: 'ui', what: 'the card, a page that MCP hosts show (MCP Apps)' },
  { folder: 'sandbox', what: 'a real dstack server with simulated machines, for the demo and the tests' },
  { folder: 'skills', what: 'instructions for agents, served as a resource' },
  { folder: 'scripts', what: 'setup, build, generated pages, release' },
  { folder: 'scripts/docs', what: 'renders the generated pages' },
  { folder: 'scripts/hosts', what: 'drives real agent hosts with a scripted model' },
  { folder: 'scripts/lab', what: 'benchmarks and long-running checks' },
  { folder: 'evals', what: 'everyday requests that a model carries out, and their judges' },
  { folder: 'test', what: 'unit, dstack, e2e, ui and nightly tests; unit mirrors src' },
  { folder: 'docs', what: 'user and developer documentation' },
];

/** Returns all folders of the layout. */
export const layoutFolders = (): readonly string[] => [...LAYERS, ...GROUPS, ...OTHERS].map(({ folder }) => folder);

/** Renders the layout as an indented tree, highest layer first. */
export function renderLayout(): string {
  const server = [...LAYERS].reverse();
  const inSource = [...GROUPS, ...server].filter(({ folder }) => folder.startsWith('src/'));
  const top = inSource.filter(({ folder }) => parentOf(folder) === 'src');
  // A group has the place of its highest member.
  const place = ({ folder }: Folder): number =>
    server.findIndex((one) => one.folder === folder || one.folder.startsWith(`${folder}/`));
  const nested = top
    .toSorted((a, b) => place(a) - place(b))
    .flatMap((parent) => [parent, ...inSource.filter(({ folder }) => parentOf(folder) === parent.folder)]);
  const all = [...server.filter(({ folder }) => ['tools', 'src'].includes(folder)), ...nested, ...OTHERS];
  const lines = all.map(({ folder, what }) => {
    const segments = folder.split('/');
    return [`${'  '.repeat(segments.length - 1)}${segments.at(-1)}/`, what] as const;
  });
  const width = Math.max(...lines.map(([name]) => name.length)) + 2;
  return ['```text', ...lines.map(([name, what]) => `${name.padEnd(width)}${what}`), '```'].join('\n');
}

const parentOf = (folder: string): string => folder.split('/').slice(0, -1).join('/');
