import { execa } from 'execa';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { installPython } from '../install-packages.ts';
import type { Place } from './place.ts';

const SEED = 42;
const RUNS = 10;

/** Kinds of findings that are none here, and why. Everything else is: a crash, a hang, an internal error, a leak. */
const NO_FINDINGS: Readonly<Record<string, string>> = {
  accepted_malformed:
    'the fuzzer counts every answer that is no error, also those to valid requests (`tools/list`, `doctor` without arguments)',
  injection_reflection: 'a refusal repeats the word that it refuses, quoted; nothing here is run by a shell',
  dangerous_capability_combo: 'told by words in the descriptions; this server itself opens no connection',
};

const finding = z.looseObject({ category: z.string(), severity: z.string(), target: z.string(), detail: z.string() });

/** Has mcp-fuzzer send what no client would: to every tool, and as every message of the protocol. */
export async function checkWithFuzzer({ cacheFolder, serverFile, env, workspace }: Place): Promise<string> {
  const programs = await installPython(path.join(cacheFolder, 'fuzzer'), ['mcp-fuzzer==0.7.0']);
  const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-fuzzer-'));
  try {
    const target = ['--mode', 'all', '--protocol', 'stdio', '--endpoint', `${process.execPath} ${serverFile}`];
    const amount = ['--runs', String(RUNS), '--seed', String(SEED), '--security-audit', '--no-network', '--no-corpus'];
    const output = ['--fail-if-no-tools', '--output-dir', folder, '--log-level', 'CRITICAL'];
    await execa(path.join(programs, 'mcp-fuzzer'), [...target, ...amount, ...output], {
      env,
      extendEnv: false,
      cwd: workspace,
      stdin: 'ignore',
      timeout: 900_000,
    });
    const all = readFindings(JSON.parse(await readFile(path.join(folder, 'findings.json'), 'utf8')));
    const real = all.filter(({ category }) => !Object.hasOwn(NO_FINDINGS, category));
    if (real.length > 0) throw new Error(real.map((one) => JSON.stringify(one)).join('\n'));
    return `${RUNS} runs for each tool with seed ${SEED}: nothing of ${all.length} remarks is a finding`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function readFindings(written: unknown): z.output<typeof finding>[] {
  return z
    .union([z.array(finding), z.object({ findings: z.array(finding) }).transform((one) => one.findings)])
    .parse(written);
}
