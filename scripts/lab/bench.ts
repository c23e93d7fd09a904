// Compares the server with the bare CLI and dstack's REST API, in one run on one machine:
//   npm run lab -- bench [--rounds 15] [--calls 1000] [--only-targets] [--other <script of another MCP server>] [--json result.json]
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir, totalmem } from 'node:os';
import path from 'node:path';
import { stringify } from 'yaml';
import { createContenders } from './bench/contenders.ts';
import { measureConcurrent, measureOneAtATime } from './bench/measure.ts';
import { measureIdle, measureMemory } from './bench/memory.ts';
import { measureFirstCall, measureStart } from './bench/start.ts';
import { printReport } from './bench/report.ts';
import { startLocalSandbox } from '../local-sandbox.ts';

const args = process.argv.slice(2);
const option = (name: string, fallback: string): string =>
  args[args.indexOf(`--${name}`) + 1 || args.length] ?? fallback;
const rounds = Number(option('rounds', '15'));
const calls = Number(option('calls', '1000'));
const jsonFile = option('json', '');
const other = option('other', '');
/** Measures only what has to hold. */
const onlyTargets = args.includes('--only-targets');
const say = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

const sandbox = await startLocalSandbox(say);
const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-bench-'));
try {
  const task = {
    type: 'task',
    name: 'bench',
    commands: ['sleep infinity'],
    resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
  };
  await writeFile(path.join(sandbox.workspace, 'bench.dstack.yml'), stringify(task));
  await writeFile(path.join(sandbox.workspace, 'long.dstack.yml'), longConfiguration());
  await writeFile(path.join(sandbox.workspace, 'other.dstack.yml'), stringify({ ...task, name: 'other' }));
  const contenders = await createContenders(sandbox, folder);
  try {
    say('one at a time…');
    const single = await measureOneAtATime(contenders, rounds, onlyTargets ? ['ps'] : undefined);
    say('8 and 32 concurrently…');
    const concurrent = await measureConcurrent(contenders, onlyTargets ? [8] : [8, 32]);
    say('start…');
    const start = await measureStart(sandbox, folder, { rounds: 9, ...(other === '' ? {} : { other }) });
    const firstCall = await measureFirstCall(sandbox, folder, 5);
    say('memory of idle servers…');
    const idle = await measureIdle(sandbox, folder);
    say(`memory over ${calls} calls…`);
    const memory = onlyTargets ? undefined : await measureMemory(contenders.warm, calls);
    const result = {
      date: new Date().toISOString(),
      machine: {
        cpu: cpus()[0]?.model.trim(),
        cores: availableParallelism(),
        memoryGb: Math.round(totalmem() / 2 ** 30),
        node: process.version,
        platform: process.platform,
      },
      rounds,
      single,
      concurrent,
      start,
      firstCall,
      idle,
      memory,
      toolsListBytes: contenders.toolsListBytes,
    };
    printReport(result);
    if (jsonFile !== '') await writeFile(jsonFile, `${JSON.stringify(result, null, 2)}\n`);
  } finally {
    await contenders.close();
  }
} finally {
  await sandbox.stop();
  await rm(folder, { recursive: true, force: true });
}

/** Returns a task configuration of 200 lines. */
function longConfiguration(): string {
  const lines = (count: number, line: (at: number) => string): string[] =>
    Array.from({ length: count }, (_, at) => line(at));
  return [
    'type: task',
    'name: long',
    'env:',
    ...lines(95, (at) => `  - VARIABLE_${at}=value-${at}`),
    'commands:',
    ...lines(95, (at) => `  - python -m training.step --index ${at} --rate 0.${at}`),
    'resources:',
    '  gpu: A100:80GB:2',
    '  memory: 64GB..',
    '  disk: 200GB..',
    'max_duration: 8h',
    'spot_policy: auto',
    '',
  ].join('\n');
}
