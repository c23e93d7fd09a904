import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { serverFile, startLocalSandbox } from '../local-sandbox.ts';
import { checkHost } from './check-host.ts';
import { HOSTS } from './hosts.ts';
import { installHost } from './install-host.ts';
import { mergeResults, problemsOf, readResults, resultsFile } from './results.ts';

// Installs agent hosts and drives each with a scripted model against the sandbox. Without names, all of them:
//   npm run hosts [-- codex gemini]
const names = process.argv.slice(2);
const unknown = names.filter((name) => !HOSTS.some(({ id }) => id === name));
if (unknown.length > 0)
  throw new Error(`Unknown: ${unknown.join(', ')}. The hosts are ${HOSTS.map(({ id }) => id).join(', ')}.`);

const folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-hosts-'));
const sandbox = await startLocalSandbox((line) => console.error(line));
try {
  const { url, token, cli } = sandbox;
  for (const host of HOSTS.filter(({ id }) => names.length === 0 || names.includes(id))) {
    const report = await checkHost(host, await installHost(host), { url, token, cli, server: serverFile, folder });
    console.log(`${host.title} ${host.version}: ${report.tools} tools; without a person: ${report.unattended}`);
    const problems = problemsOf(report, host.limits);
    for (const [check, problem] of problems) console.log(`  ✗ ${check}:\n${problem}`);
    if (problems.length > 0) process.exitCode = 1;
    await writeFile(resultsFile, mergeResults(await readResults(), host, report));
  }
} finally {
  await sandbox.stop();
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
}
