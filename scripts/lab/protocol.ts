// Checks the built server with third-party MCP tools: the official inspector, a probe and a fuzzer.
//   npm run lab -- protocol [inspector|probe|fuzzer]
// Each is installed into its own folder in .cache/protocol, once, and runs against the sandbox. The conformance suite and the rules of
// hosts are tests: test/e2e/protocol and test/unit/mcp/hosts.test.ts.
import { execa } from 'execa';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import * as z from 'zod';
import { messageOf } from '../../src/core/errors.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { serverEnv, serverFile, startLocalSandbox } from '../local-sandbox.ts';
import { checkWithFuzzer } from './protocol/check-with-fuzzer.ts';
import { checkWithInspector } from './protocol/check-with-inspector.ts';
import { checkWithProbe } from './protocol/check-with-probe.ts';
import type { Place } from './protocol/place.ts';

const CHECKS: Readonly<Record<string, (place: Place) => Promise<string>>> = {
  inspector: checkWithInspector,
  probe: checkWithProbe,
  fuzzer: checkWithFuzzer,
};
const RUN = 'example';
const FILE = 'example.dstack.yml';

const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !Object.hasOwn(CHECKS, name));
if (unknown.length > 0) throw new Error(`unknown: ${unknown.join(', ')}; available: ${Object.keys(CHECKS).join(', ')}`);
const sandbox = await startLocalSandbox((line) => process.stderr.write(`sandbox: ${line}\n`));
let failed = 0;
try {
  await startRun(sandbox);
  const place: Place = {
    env: serverEnv(sandbox),
    workspace: sandbox.workspace,
    serverFile,
    cacheFolder: path.resolve(import.meta.dirname, '../../.cache/protocol'),
    run: RUN,
    file: FILE,
  };
  for (const [name, check] of Object.entries(CHECKS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    try {
      process.stdout.write(`✓ ${name}: ${await check(place)}\n`);
    } catch (error) {
      failed += 1;
      process.stdout.write(`✗ ${name}: ${messageOf(error)}\n`);
    }
  }
} finally {
  await sandbox.stop();
}
process.exit(failed === 0 ? 0 : 1);

/** Starts a run for the tools that need one. */
async function startRun({ cli, env, workspace }: Sandbox): Promise<void> {
  const configuration = { type: 'task', name: RUN, commands: ['echo hello', 'sleep infinity'] };
  await writeFile(path.join(workspace, FILE), stringify(configuration));
  const options = { env, extendEnv: false, cwd: workspace, stdin: 'ignore', timeout: 120_000 } as const;
  await execa(cli, ['apply', '-f', FILE, '-y', '-d'], options);
  const run = z.looseObject({ status: z.string() });
  for (;;) {
    const { stdout } = await execa(cli, ['run', 'get', RUN, '--json'], options);
    const { status } = run.parse(JSON.parse(stdout));
    if (status === 'running') return;
    if (['failed', 'terminated', 'done'].includes(status)) throw new Error(`${RUN} is ${status}`);
    await delay(200);
  }
}
