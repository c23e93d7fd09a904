// Compares the latency of calls between builds of this server, in one run on one machine:
//   npm run lab -- compare [--rounds 15] [--json compare.json] [old=../old/dist/dstack-mcp.mjs ...]
// This build is always measured. Each round makes, stops and deletes a task and a fleet in the sandbox.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { stringify } from 'yaml';
import * as z from 'zod';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { contenderEnv } from './bench/contenders.ts';
import { timing } from './bench/measure.ts';
import { serverFile, startLocalSandbox } from '../local-sandbox.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { rounds: { type: 'string', default: '15' }, json: { type: 'string', default: '' } },
});
const others = positionals.map((one): [string, string] => [one.split('=')[0] ?? '', one.split('=')[1] ?? '']);
const builds = new Map([['new', serverFile], ...others]);
const samples = new Map<string, number[]>();
const facts = z.looseObject({ token: z.string().optional() });

const sandbox = await startLocalSandbox((line) => void process.stderr.write(`${line}\n`));
const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-compare-'));
const clients: Client[] = [];
try {
  const contenders = [];
  for (const [name, file] of builds)
    for (const mode of ['on', 'off'] as const)
      contenders.push(await connect(`${name}, ${mode === 'on' ? 'warm' : 'plain'}`, file, mode));
  for (let round = -1; round < Number(values.rounds); round += 1)
    for (const contender of contenders) await measureRound(contender, round);
  const rows = Object.fromEntries([...samples].map(([key, all]) => [key, timing(all)]));
  console.table(rows);
  if (values.json !== '') await writeFile(values.json, `${JSON.stringify(rows, null, 2)}\n`);
} finally {
  await Promise.all(clients.map((client) => client.close()));
  await sandbox.stop();
  await rm(folder, { recursive: true, force: true });
}

interface Contender {
  readonly name: string;
  readonly client: Client;
  /** Returns the tool that redeems a token: in older builds, each change redeems its own. */
  readonly redeemer: (tool: string) => string;
}

async function connect(name: string, file: string, mode: 'on' | 'off'): Promise<Contender> {
  const client = new Client({ name: 'compare', version: '1.0.0' });
  clients.push(client);
  // This script reads the tokens.
  const env = {
    ...contenderEnv(sandbox, path.join(folder, String(clients.length)), mode),
    DSTACK_MCP_STRUCTURED: 'on',
  };
  await client.connect(new StdioClientTransport({ command: process.execPath, args: [file], env }));
  const { tools } = await client.listTools();
  const takesToken = ({ inputSchema }: (typeof tools)[number]): boolean =>
    Object.hasOwn(inputSchema.properties ?? {}, 'token');
  const redeemers = new Set(tools.filter(takesToken).map((tool) => tool.name));
  return { name, client, redeemer: (tool) => (redeemers.has(tool) ? tool : 'apply') };
}

/** Makes each call once. The first round, -1, warms up and doesn't count. */
async function measureRound({ name, client, redeemer }: Contender, round: number): Promise<void> {
  const id = `compare-${name.replaceAll(/[^a-z]/g, '')}-${round + 1}`;
  const measure = async (what: string, tool: string, input: Record<string, unknown>): Promise<string> => {
    const since = performance.now();
    const result = await client.callTool({ name: tool, arguments: input }, { timeout: 120_000 });
    const duration = performance.now() - since;
    if (result.isError) throw new Error(`${name}, ${what}: ${JSON.stringify(result.content).slice(0, 500)}`);
    if (round >= 0) samples.set(`${what}: ${name}`, [...(samples.get(`${what}: ${name}`) ?? []), duration]);
    return facts.parse(result.structuredContent).token ?? '';
  };
  const task = {
    type: 'task',
    name: id,
    commands: ['sleep infinity'],
    resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
  };
  await writeFile(path.join(sandbox.workspace, `${id}.dstack.yml`), stringify(task));
  const fleet = { type: 'fleet', name: id, nodes: '0..1', resources: task.resources };
  await writeFile(path.join(sandbox.workspace, `${id}-fleet.dstack.yml`), stringify(fleet));
  await measure('ps', 'ps', {});
  const run = await measure('plan a task', 'plan', { file: `${id}.dstack.yml` });
  await measure('redeem a task', 'apply', { token: run });
  const stop = await measure('preview an abort', 'stop', { run: id, abort: true });
  await measure('redeem an abort', redeemer('stop'), { token: stop });
  const made = await measure('plan a fleet', 'plan', { file: `${id}-fleet.dstack.yml` });
  await measure('redeem a fleet', 'apply', { token: made });
  const gone = await measure('preview a deletion', 'delete', { file: `${id}-fleet.dstack.yml` });
  await measure('redeem a deletion', redeemer('delete'), { token: gone });
}
