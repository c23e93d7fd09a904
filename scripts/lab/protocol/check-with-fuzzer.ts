import { execa } from 'execa';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as z from 'zod';
import { installPython } from '../install-packages.ts';
import type { Place } from './place.ts';

const SEED = 42;
const RUNS = 10;

/** Categories of false positives, and why they are. All others are real findings: a crash, a hang, an internal error, a leak. */
const FALSE_POSITIVES: Readonly<Record<string, string>> = {
  accepted_malformed:
    'the fuzzer counts every successful response, including those to valid requests (`tools/list`, `doctor` without arguments)',
  injection_reflection: 'an error quotes the rejected value; no shell is used',
  dangerous_capability_combo: 'derived from words in the descriptions; this server opens no connections',
};

const finding = z.looseObject({ category: z.string(), severity: z.string(), target: z.string(), detail: z.string() });

/** Runs mcp-fuzzer, which sends malformed input to every tool and as every protocol message. */
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
    const real = all.filter(({ category }) => !Object.hasOwn(FALSE_POSITIVES, category));
    if (real.length > 0) throw new Error(real.map((one) => JSON.stringify(one)).join('\n'));
    return `${RUNS} runs per tool with seed ${SEED}: none of ${all.length} reports is a real finding`;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function readFindings(written: unknown): z.output<typeof finding>[] {
  return z
    .union([z.array(finding), z.object({ findings: z.array(finding) }).transform((one) => one.findings)])
    .parse(written);
}
