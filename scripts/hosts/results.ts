import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import type { HostReport } from './check-host.ts';
import { HOSTS } from './hosts.ts';
import type { Host } from './hosts.ts';

/** The results of the last run of each host, from which docs/clients.md is generated. */
export const resultsFile = path.join(import.meta.dirname, 'results.json');

const result = z.strictObject({
  version: z.string(),
  /** Number of tools that the model is given; 0 if it has to search for them. */
  tools: z.number(),
  unattended: z.string(),
  /** The level of consent in its terminal. */
  terminal: z.string().optional(),
  /** Checks that don't hold. */
  failed: z.array(z.string()),
});

export type HostResults = Readonly<Record<string, z.output<typeof result>>>;

/** Reads the results by host. */
export async function readResults(): Promise<HostResults> {
  return z.record(z.string(), result).parse(JSON.parse(await readFile(resultsFile, 'utf8')));
}

/** Returns the checks that don't hold, with what is wrong, without those that can't hold because of the host. */
export function problemsOf({ findings }: HostReport, limits: Host['limits'] = {}): [check: string, problem: string][] {
  return Object.entries(findings).flatMap(([check, problem]) =>
    problem === undefined || check in limits ? [] : [[check, problem] as [string, string]],
  );
}

/** Returns the text of the results with those of one host replaced, in the order of the hosts. */
export function mergeResults(results: HostResults, { id, version, limits }: Host, report: HostReport): string {
  const failed = problemsOf(report, limits).map(([what]) => what);
  const all = {
    ...results,
    [id]: { version, tools: report.tools, unattended: report.unattended, terminal: report.terminal, failed },
  };
  const ordered = HOSTS.flatMap((host) => (all[host.id] === undefined ? [] : [[host.id, all[host.id]] as const]));
  return `${JSON.stringify(Object.fromEntries(ordered), undefined, 2)}\n`;
}
