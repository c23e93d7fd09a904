import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import * as z from 'zod';

/** One check of the conformance suite. */
export interface Check {
  readonly scenario: string;
  readonly id: string;
  /** `unmet`: a requirement or a recommendation isn't met. */
  readonly verdict: 'met' | 'unmet' | 'not-judged';
  readonly message: string;
}

const suite = createRequire(import.meta.url).resolve('@modelcontextprotocol/conformance/dist/index.js');
const preload = new URL('./fs-with-glob.mjs', import.meta.url).href;

const written = z.array(z.object({ id: z.string(), status: z.string(), errorMessage: z.string().optional() }));
const VERDICTS: Readonly<Record<string, Check['verdict']>> = { SUCCESS: 'met', FAILURE: 'unmet', WARNING: 'unmet' };

/** Runs the official conformance suite against a server and returns the result of each check. Needs no network. */
export async function runConformance(url: string, selection: readonly string[]): Promise<readonly Check[]> {
  const results = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-conformance-'));
  try {
    const args = ['--import', preload, suite, 'server', '--url', url, ...selection, '--output-dir', results];
    // Its exit code says only that a check failed; the results say which one.
    const { all } = await execa(process.execPath, args, {
      reject: false,
      all: true,
      stdin: 'ignore',
      timeout: 200_000,
    });
    const folders = await readdir(results);
    if (folders.length === 0) throw new Error(`the conformance suite wrote no results:\n${all}`);
    return (await Promise.all(folders.map((folder) => readChecks(path.join(results, folder))))).flat();
  } finally {
    await rm(results, { recursive: true, force: true });
  }
}

async function readChecks(folder: string): Promise<Check[]> {
  const scenario = /^server-(.+)-\d{4}-\d\d-\d\dT[\d-]+Z$/.exec(path.basename(folder))?.[1];
  if (scenario === undefined) throw new Error(`not a folder of results: ${folder}`);
  const checks = written.parse(JSON.parse(await readFile(path.join(folder, 'checks.json'), 'utf8')));
  return checks.map(({ id, status, errorMessage = '' }) => ({
    scenario,
    id,
    verdict: VERDICTS[status] ?? 'not-judged',
    message: errorMessage,
  }));
}
