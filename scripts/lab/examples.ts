// Plans every configuration of dstack's own examples and documentation, and counts how the plans end and which advice they get:
//   git clone --depth 1 https://github.com/dstackai/dstack ~/dstack
//   npm run lab -- examples ~/dstack
// Exits with 1 if a valid one ends as `unknown-error`, or if one advice is given for more than one in ten.
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { parse } from 'yaml';
import * as z from 'zod';
import { serverEnv, serverFile, startLocalSandbox } from '../local-sandbox.ts';

interface Example {
  readonly source: string;
  readonly text: string;
}

const TYPES: ReadonlySet<unknown> = new Set(['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway']);
/** An indented block of YAML in Markdown. */
const BLOCK = /^([ \t]*)```ya?ml[^\n]*\n([^]*?)^\1```/gm;
const facts = z.looseObject({
  outcome: z.string(),
  code: z.string().optional(),
  verdict: z.string().optional(),
  advice: z.array(z.looseObject({ id: z.string() })).default([]),
});

const [root = '.'] = process.argv.slice(2);
const examples = await findExamples(path.resolve(root));
const sandbox = await startLocalSandbox((line) => process.stderr.write(`${line}\n`));
const client = new Client({ name: 'examples', version: '1.0.0' });
const ends = new Map<string, string[]>();
const advised = new Map<string, number>();
let valid = 0;
try {
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [serverFile],
      env: { ...serverEnv(sandbox), DSTACK_MCP_STRUCTURED: 'on', DSTACK_MCP_LOG_LEVEL: 'error' },
    }),
  );
  for (const [index, { source, text }] of examples.entries()) {
    const file = path.join(`example-${index}`, '.dstack.yml');
    await mkdir(path.join(sandbox.workspace, path.dirname(file)));
    await writeFile(path.join(sandbox.workspace, file), text);
    const checked = await call('config', { action: 'validate', file });
    if (checked.verdict !== 'valid') continue;
    valid += 1;
    for (const id of new Set(checked.advice.map((one) => one.id))) advised.set(id, (advised.get(id) ?? 0) + 1);
    const { outcome, code = '' } = await call('plan', { file });
    const end = `${outcome} ${code}`.trim();
    ends.set(end, [...(ends.get(end) ?? []), `${source} (${file})`]);
  }
} finally {
  await client.close();
  await sandbox.stop();
}
process.stdout.write(`${valid} of ${examples.length} configurations are valid.\n`);
console.table([...ends].map(([end, sources]) => ({ end, count: sources.length, example: sources[0] })));
console.table([...advised].map(([advice, count]) => ({ advice, count })));
const unknown = ends.get('failed unknown-error') ?? [];
for (const source of unknown) process.stdout.write(`unknown-error: ${source}\n`);
process.exit(unknown.length > 0 || [...advised.values()].some((count) => count > valid / 10) ? 1 : 0);

async function call(name: string, input: Record<string, unknown>): Promise<z.output<typeof facts>> {
  const { structuredContent } = await client.callTool({ name, arguments: input }, { timeout: 300_000 });
  return facts.parse(structuredContent);
}

/** Returns each configuration once, from files and from Markdown. */
async function findExamples(folder: string): Promise<readonly Example[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  // The documentation has links to pages elsewhere.
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
  const found = await Promise.all(
    files
      .filter((file) => /\.(?:md|ya?ml)$/.test(file))
      .map(async (file) => {
        const text = await readFile(path.join(folder, file), 'utf8');
        return (file.endsWith('.md') ? blocksIn(text) : [text]).map((block) => ({ source: file, text: block }));
      }),
  );
  return [...new Map(found.flat().map((one) => [one.text, one])).values()].filter(({ text }) => isConfiguration(text));
}

function blocksIn(markdown: string): string[] {
  return [...markdown.matchAll(BLOCK)].map(([, indent = '', block = '']) =>
    block
      .split('\n')
      .map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
      .join('\n'),
  );
}

function isConfiguration(text: string): boolean {
  try {
    const value: unknown = parse(text);
    return (
      z.looseObject({ type: z.unknown() }).safeParse(value).success && TYPES.has(Reflect.get(Object(value), 'type'))
    );
  } catch {
    return false;
  }
}
