import { execa } from 'execa';
import { copyFile, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { tools } from '../../tools/index.ts';
import { installNode, installPython } from './install-packages.ts';

// Runs the agent framework examples of docs/clients.md unchanged against the built server, each in its own environment, without a model:
//   npm run lab -- clients [mastra]
interface Framework {
  readonly example: string;
  readonly packages: readonly string[];
}

const FRAMEWORKS: Readonly<Record<string, Framework>> = {
  'openai-agents': { example: 'openai_agents.py', packages: ['openai-agents==0.24.0'] },
  langchain: { example: 'langchain_agent.py', packages: ['langchain-mcp-adapters==0.3.2'] },
  'llama-index': { example: 'llama_index_agent.py', packages: ['llama-index-tools-mcp==0.6.0'] },
  'pydantic-ai': { example: 'pydantic_ai_agent.py', packages: ['pydantic-ai-slim[mcp]==2.68.0'] },
  'vercel-ai': { example: 'vercel-ai.mjs', packages: ['@ai-sdk/mcp@2.0.99', 'ai@7.0.173'] },
  mastra: { example: 'mastra.mjs', packages: ['@mastra/mcp@2.0.0', '@mastra/core@1.71.0'] },
};

const root = path.resolve(import.meta.dirname, '../..');
const wanted = process.argv.slice(2);
let failed = 0;
for (const [name, framework] of Object.entries(FRAMEWORKS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  try {
    check(await runExample(name, framework));
    console.log(`✓ ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`✗ ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
process.exitCode = failed === 0 ? 0 : 1;

/** Asserts that the framework listed every model-visible tool. A framework may prefix the name with the server's. */
function check(printed: string): void {
  const missing = tools.filter(({ name }) => name !== 'decide' && !new RegExp(`['"_]${name}['"]`).test(printed));
  if (missing.length > 0) throw new Error(`not listed: ${missing.map(({ name }) => name).join(', ')}:\n${printed}`);
}

async function runExample(name: string, { example, packages }: Framework): Promise<string> {
  const folder = path.join(root, '.cache', 'clients', name);
  const work = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-client-'));
  try {
    const file = path.join(root, 'docs', 'agents', example);
    const { stdout } = await execa(...(await prepare({ folder, packages, file })), {
      cwd: work,
      env: { PATH: `${await makeNpx(work)}${path.delimiter}${process.env['PATH']}`, HOME: work },
      stdin: 'ignore',
      timeout: 120_000,
    });
    return stdout;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Installs the packages of an example and returns the program and arguments that run it. */
async function prepare({
  folder,
  packages,
  file,
}: {
  folder: string;
  packages: readonly string[];
  file: string;
}): Promise<[program: string, args: string[]]> {
  if (file.endsWith('.py')) return [path.join(await installPython(folder, packages), 'python'), [file]];
  // Node resolves packages from the folder of the file.
  const copy = path.join(await installNode(folder, packages), path.basename(file));
  await copyFile(file, copy);
  return [process.execPath, [copy]];
}

/** Writes an `npx` that starts the built server instead of the published one. */
async function makeNpx(folder: string): Promise<string> {
  const server = path.join(root, 'dist', 'dstack-mcp.mjs');
  await writeFile(path.join(folder, 'npx'), `#!/bin/sh\nexec "${process.execPath}" "${server}"\n`, { mode: 0o755 });
  return folder;
}
