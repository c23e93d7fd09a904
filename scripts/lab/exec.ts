// Compares `exec true` with `ssh <run> true` over the same master connection:
//   npm run lab -- exec [--rounds 40]
import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { execa } from 'execa';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import * as z from 'zod';
import { serverEnv, serverFile, startLocalSandbox } from '../local-sandbox.ts';
import { timing } from './bench/measure.ts';

const RUN = 'lab-exec';
/** The ratio that has to hold. */
const MOST = 1.3;

const args = process.argv.slice(2);
const rounds = Number(args[args.indexOf('--rounds') + 1 || args.length] ?? 40);

const sandbox = await startLocalSandbox((line) => void process.stderr.write(`${line}\n`));
const client = new Client({ name: 'lab', version: '1.0.0' });
try {
  const task = {
    type: 'task',
    name: RUN,
    commands: ['sleep infinity'],
    resources: { cpu: '1..', memory: '1GB..', disk: '1GB..' },
  };
  await writeFile(path.join(sandbox.workspace, 'exec.dstack.yml'), stringify(task));
  const options = { cwd: sandbox.workspace, env: sandbox.env, extendEnv: false, stdin: 'ignore' } as const;
  await execa(sandbox.cli, ['apply', '-f', 'exec.dstack.yml', '-y', '-d'], options);
  const env = { ...serverEnv(sandbox), DSTACK_MCP_STRUCTURED: 'on', DSTACK_MCP_CONFIRM: 'token' };
  await client.connect(
    new StdioClientTransport({ command: process.execPath, args: [serverFile], env, stderr: 'ignore' }),
  );
  const call = async (name: string, input: Record<string, unknown>): Promise<Record<string, unknown>> => {
    const { structuredContent } = await client.callTool({ name, arguments: input });
    return z.record(z.string(), z.unknown()).parse(structuredContent);
  };
  while ((await call('get', { name: RUN, wait_for: 'running' }))['reached'] !== true) await delay(500);
  const { token } = await call('exec', { run: RUN, command: 'true' });
  await call('apply', { token });
  const run = async (): Promise<void> => {
    const answer = await call('exec', { run: RUN, command: 'true' });
    if (answer['exitCode'] !== 0) throw new Error(JSON.stringify(answer));
  };
  await run();
  const socket = path.join(sandbox.home, '.dstack', 'ssh', `${RUN}.control.sock`);
  const plain = (): Promise<unknown> =>
    execa('ssh', ['-F', 'none', '-S', socket, '-o', 'BatchMode=yes', RUN, 'true'], { ...options, timeout: 20_000 });
  const samples = { exec: [] as number[], ssh: [] as number[] };
  const measure = async (into: number[], work: () => Promise<unknown>): Promise<void> => {
    const since = performance.now();
    await work();
    into.push(performance.now() - since);
  };
  // Alternating, so that a slow moment of the machine affects both.
  for (let round = 0; round < rounds; round += 1) {
    await measure(samples.ssh, plain);
    await measure(samples.exec, run);
  }
  const [exec, ssh] = [timing(samples.exec), timing(samples.ssh)];
  const ratio = exec.median / ssh.median;
  console.log(`exec true: ${exec.median} ms (p95 ${exec.p95} ms)`);
  console.log(`ssh true:  ${ssh.median} ms (p95 ${ssh.p95} ms)`);
  console.log(`ratio:     ${ratio.toFixed(2)}, at most ${MOST}: ${ratio <= MOST ? 'holds' : 'too slow'}`);
  if (ratio > MOST) process.exitCode = 1;
} finally {
  await client.close();
  await sandbox.stop();
}
