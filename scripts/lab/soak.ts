// Sends many concurrent mixed calls to a server on the sandbox, with cancellations and killed child processes, and reports the cost:
//   npm run lab -- soak [--calls 2000] [--at-once 8] [--minutes 5] [--seed 1] [--json soak.json]
// Traffic goes to the loopback interface only. Exits with 1 if a response was wrong or missing, or if a process was left running.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { stringify } from 'yaml';
import { timing } from './bench/measure.ts';
import { serverEnv, serverFile, startLocalSandbox } from '../local-sandbox.ts';
import { createCalls } from './soak/calls.ts';
import { readProcess } from './read-process.ts';
import { soak } from './soak/soak.ts';

const { values } = parseArgs({
  options: {
    calls: { type: 'string', default: '10000' },
    'at-once': { type: 'string', default: '16' },
    minutes: { type: 'string', default: '60' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    json: { type: 'string', default: '' },
  },
});

const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};
const sandbox = await startLocalSandbox(say);
const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-soak-'));
try {
  const resources = { cpu: '1..', memory: '1GB..', disk: '1GB..' };
  const task = { type: 'task', name: 'soak', commands: ['sleep infinity'], resources };
  await writeFile(path.join(sandbox.workspace, 'soak.dstack.yml'), stringify(task));
  const client = new Client({ name: 'soak', version: '1.0.0' });
  const transport = new StdioClientTransport({
    command: process.execPath,
    args: [serverFile],
    env: { ...serverEnv(sandbox), DSTACK_MCP_STRUCTURED: 'on', DSTACK_MCP_LOG_LEVEL: 'error' },
  });
  await client.connect(transport);
  const pid = transport.pid ?? 0;
  const result = await soak({
    calls: createCalls(client),
    pid,
    total: Number(values.calls),
    atOnce: Number(values['at-once']),
    untilMs: performance.now() + Number(values.minutes) * 60_000,
    seed: Number(values.seed),
    say,
  });
  await client.close();
  const left = await readProcess(pid);
  const windows = result.windows.map(({ durationsMs, ...window }) => ({ ...window, ...timing(durationsMs) }));
  console.table(windows);
  console.log(
    `${result.answered} calls answered, ${result.cancelled} cancelled, ${result.killed} children killed (reported by ${result.hit} calls), ${result.wrong.length} wrong (seed ${values.seed})`,
  );
  for (const wrong of result.wrong.slice(0, 20)) console.log(`wrong: ${wrong}`);
  if (left !== undefined) console.log(`left running: process ${pid}`);
  if (values.json !== '')
    await writeFile(values.json, `${JSON.stringify({ ...result, windows, seed: values.seed }, null, 2)}\n`);
  process.exitCode = result.wrong.length > 0 || left !== undefined ? 1 : 0;
} finally {
  await sandbox.stop();
  await rm(folder, { recursive: true, force: true });
}
