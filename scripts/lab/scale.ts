// Measures how time and memory of a call grow with the number of runs, instances, offers, log lines and attachments:
//   npm run lab -- scale [--rounds 5] [--only runs,offers] [--json scale.json]
// It uses the sandbox and sends traffic to the loopback interface only. Memory is measured on Linux only.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { execa } from 'execa';
import { stringify } from 'yaml';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { timing } from './bench/measure.ts';
import { serverEnv, serverFile, startLocalSandbox } from '../local-sandbox.ts';
import { makeAttachments } from './scale/attachments.ts';
import { writeLargeDstack } from './scale/large-dstack.ts';
import type { Sizes } from './scale/large-dstack.ts';
import { readProcess } from './read-process.ts';

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    only: { type: 'string', default: '' },
    json: { type: 'string', default: '' },
  },
});

/** The call for each kind of resource, and the sizes to measure. */
const SERIES = [
  { what: 'runs', tool: 'ps', input: { all: true }, sizes: [50, 500, 5_000] },
  { what: 'instances', tool: 'fleet', input: {}, sizes: [10, 100, 1_000] },
  { what: 'offers', tool: 'offer', input: {}, sizes: [200, 2_000, 20_000] },
  { what: 'logMegabytes', tool: 'logs', input: { run: 'scale' }, sizes: [1, 10, 100] },
] as const satisfies readonly { what: keyof Sizes; tool: string; input: object; sizes: readonly number[] }[];
const ATTACHMENTS = [2, 20, 200];

interface Row {
  readonly what: string;
  readonly count: number;
  /** Milliseconds, the median. */
  readonly ms: number;
  readonly answerKb: number;
  /** Resident memory of the server after the calls. */
  readonly residentMb: number;
}

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
const sandbox = await startLocalSandbox(say);
const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-scale-'));
const rows: Row[] = [];
try {
  await submitRun();
  const large = await writeLargeDstack(folder, sandbox.cli);
  for (const { what, tool, input, sizes } of SERIES.filter(isWanted)) {
    for (const count of sizes) {
      await large.resize({ [what]: count });
      rows.push(await measure({ what, count, tool, input, cli: large.cli, stateDir: path.join(folder, 'state') }));
    }
  }
  for (const count of isWanted({ what: 'attachments' }) ? ATTACHMENTS : []) {
    const stateDir = path.join(folder, `attachments-${count}`);
    await mkdir(stateDir);
    const end = await makeAttachments(stateDir, count);
    const input = { action: 'list' };
    rows.push(await measure({ what: 'attachments', count, tool: 'attach', input, cli: sandbox.cli, stateDir }));
    await end();
  }
} finally {
  await sandbox.stop();
  await rm(folder, { recursive: true, force: true });
}
console.table(rows);
if (values.json !== '') await writeFile(values.json, `${JSON.stringify(rows, undefined, 2)}\n`);

function isWanted({ what }: { readonly what: string }): boolean {
  return values.only === '' || values.only.split(',').includes(what);
}

/** Submits the run that the large dstack repeats. */
async function submitRun(): Promise<void> {
  const resources = { cpu: '1..', memory: '1GB..', disk: '1GB..' };
  const task = { type: 'task', name: 'scale', commands: ['sleep infinity'], resources };
  await writeFile(path.join(sandbox.workspace, 'scale.dstack.yml'), stringify(task));
  const argv = ['apply', '-f', 'scale.dstack.yml', '-y', '-d'];
  await execa(sandbox.cli, argv, { cwd: sandbox.workspace, env: { ...sandbox.env }, extendEnv: false });
}

/** Starts a server and repeats one call. */
async function measure({
  what,
  count,
  tool,
  input,
  cli,
  stateDir,
}: {
  what: string;
  count: number;
  tool: string;
  input: Record<string, unknown>;
  cli: string;
  stateDir: string;
}): Promise<Row> {
  const client = new Client({ name: 'scale', version: '1.0.0' });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [serverFile],
    env: { ...serverEnv(sandbox, stateDir), DSTACK_MCP_CLI: cli, DSTACK_MCP_LOG_LEVEL: 'error' },
  });
  await client.connect(transport);
  try {
    const durations: number[] = [];
    let answerKb = 0;
    for (let round = 0; round <= Number(values.rounds); round += 1) {
      const since = performance.now();
      const result = await client.callTool({ name: tool, arguments: input }, { timeout: 300_000 });
      durations.push(performance.now() - since);
      if (result.isError) throw new Error(`${tool} failed: ${JSON.stringify(result.content).slice(0, 500)}`);
      answerKb = Math.round(JSON.stringify(result).length / 1000);
    }
    const { residentMb = 0 } = (await readProcess(transport.pid ?? 0)) ?? {};
    // The first call waits for the worker.
    const row = { what, count, ms: Math.round(timing(durations.slice(1)).median), answerKb, residentMb };
    say(`${what} ${count}: ${row.ms} ms, ${row.answerKb} KB, ${row.residentMb} MB`);
    return row;
  } finally {
    await client.close();
  }
}
