import { execa } from 'execa';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { stringify } from 'yaml';
import * as z from 'zod';
import { messageOf } from '../../src/core/errors.ts';
import type { Sandbox } from '../../sandbox/sandbox.ts';
import { tools } from '../../tools/index.ts';
import { serverEnv, serverFile, startLocalSandbox } from '../local-sandbox.ts';
import { installNode, installPython } from './install-packages.ts';

// Runs the agent framework examples of docs/clients.md against the built server and the sandbox, each in its own environment, without a
// model: lists the tools, and plans, applies and stops a run through the framework in place of the line that starts an agent.
//   npm run lab -- clients [mastra]
interface Framework {
  readonly example: string;
  readonly packages: readonly string[];
  /** The expression that calls `tool` with `args`. */
  readonly call: string;
}

const FRAMEWORKS: Readonly<Record<string, Framework>> = {
  'openai-agents': {
    example: 'openai_agents.py',
    packages: ['openai-agents==0.24.0'],
    call: 'dstack.call_tool(tool, args)',
  },
  langchain: {
    example: 'langchain_agent.py',
    packages: ['langchain-mcp-adapters==0.3.2'],
    call: 'next(one for one in tools if one.name == tool).ainvoke(args)',
  },
  'llama-index': {
    example: 'llama_index_agent.py',
    packages: ['llama-index-tools-mcp==0.6.0'],
    call: 'next(one for one in tools if one.metadata.name == tool).acall(**args)',
  },
  'pydantic-ai': {
    example: 'pydantic_ai_agent.py',
    packages: ['pydantic-ai-slim[mcp]==2.68.0'],
    call: 'dstack.direct_call_tool(tool, args)',
  },
  'vercel-ai': {
    example: 'vercel-ai.mjs',
    packages: ['@ai-sdk/mcp@2.0.99', 'ai@7.0.173'],
    call: 'tools[tool].execute(args, { toolCallId: tool, messages: [] })',
  },
  mastra: {
    example: 'mastra.mjs',
    packages: ['@mastra/mcp@2.0.0', '@mastra/core@1.71.0'],
    call: 'tools[`dstack_${tool}`].execute(args)',
  },
};

/** Defines `change`, which plans and applies a run and stops it, by a function that calls a tool. */
const CHANGE = {
  py: `import re

async def change(call):
    for first, args, then in (("plan", {"file": "RUN.dstack.yml"}, "apply"), ("stop", {"run": "RUN"}, "apply")):
        preview = str(await call(first, args))
        token = re.search(r"(?:[0-9a-z]{7}-){3}[0-9a-z]{7}", preview)
        print(await call(then, {"token": token.group() if token else preview}))

`,
  mjs: `async function change(call) {
  for (const [first, args, then] of [['plan', { file: 'RUN.dstack.yml' }, 'apply'], ['stop', { run: 'RUN' }, 'apply']]) {
    const preview = JSON.stringify(await call(first, args));
    const token = /(?:[0-9a-z]{7}-){3}[0-9a-z]{7}/.exec(preview)?.[0] ?? preview;
    console.log(JSON.stringify(await call(then, { token })));
  }
}
`,
} as const;

const root = path.resolve(import.meta.dirname, '../..');
const wanted = process.argv.slice(2);
const sandbox = await startLocalSandbox((line) => process.stderr.write(`sandbox: ${line}\n`));
let failed = 0;
try {
  for (const [name, framework] of Object.entries(FRAMEWORKS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    try {
      const run = `client-${name}`;
      const printed = await runExample(name, framework, run);
      checkTools(printed);
      await checkStopped(sandbox, run, printed);
      console.log(`✓ ${name}: listed the tools, planned, applied and stopped a run`);
    } catch (error) {
      failed += 1;
      console.log(`✗ ${name}: ${messageOf(error)}`);
    }
  }
} finally {
  await sandbox.stop();
}
process.exit(failed === 0 ? 0 : 1);

/** Asserts that the framework listed every model-visible tool. A framework may prefix the name with the server's. */
function checkTools(printed: string): void {
  const missing = tools.filter(({ name }) => name !== 'decide' && !new RegExp(`['"_]${name}['"]`).test(printed));
  if (missing.length > 0) throw new Error(`not listed: ${missing.map(({ name }) => name).join(', ')}:\n${printed}`);
}

/** Asserts that the run was submitted and stopped, as dstack knows it. */
async function checkStopped({ cli, env, workspace }: Sandbox, run: string, printed: string): Promise<void> {
  const options = { env, extendEnv: false, cwd: workspace, stdin: 'ignore', reject: false } as const;
  const { stdout } = await execa(cli, ['run', 'get', run, '--json'], options);
  const { data } = z.looseObject({ status: z.enum(['terminating', 'terminated']) }).safeParse(parseJson(stdout));
  if (data === undefined) throw new Error(`not stopped: ${stdout}\n${printed}`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

async function runExample(name: string, { example, packages, call }: Framework, run: string): Promise<string> {
  const folder = path.join(root, '.cache', 'clients', name);
  const work = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-client-'));
  try {
    const configuration = { type: 'task', name: run, commands: ['sleep infinity'] };
    await writeFile(path.join(sandbox.workspace, `${run}.dstack.yml`), stringify(configuration));
    const text = withChange(await readFile(path.join(root, 'docs', 'agents', example), 'utf8'), { example, call, run });
    const [program, file] = await prepare({ folder, packages, example });
    await writeFile(file, text);
    const { stdout } = await execa(program, [file], {
      cwd: work,
      env: { PATH: `${await makeNpx(work)}${path.delimiter}${process.env['PATH']}`, HOME: work },
      stdin: 'ignore',
      timeout: 300_000,
    });
    return stdout;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Replaces the commented line, which starts an agent with a model. */
function withChange(
  text: string,
  { example, call, run }: Pick<Framework, 'example' | 'call'> & { run: string },
): string {
  const isPython = example.endsWith('.py');
  const calls = isPython ? `await change(lambda tool, args: ${call})` : `await change((tool, args) => ${call});`;
  const changed = text.replace(
    /^( *)(?:#|\/\/) .*(?:Agent|agent|generateText).*$/m,
    (_line, indent: string) => `${indent}${calls}`,
  );
  if (changed === text) throw new Error(`${example} has no line that starts an agent`);
  return `${isPython ? CHANGE.py : CHANGE.mjs}${changed}`.replaceAll('RUN', run);
}

/** Installs the packages of an example. Returns the program that runs it, and the place of its file. */
async function prepare({
  folder,
  packages,
  example,
}: Pick<Framework, 'example' | 'packages'> & { folder: string }): Promise<[program: string, file: string]> {
  if (example.endsWith('.py'))
    return [path.join(await installPython(folder, packages), 'python'), path.join(folder, example)];
  // Node resolves packages from the folder of the file.
  return [process.execPath, path.join(await installNode(folder, packages), example)];
}

/** Writes an `npx` that starts the built server in the sandbox: frameworks give a server only a few variables. */
async function makeNpx(folder: string): Promise<string> {
  const lines = [
    `#!${process.execPath}`,
    `Object.assign(process.env, ${JSON.stringify(serverEnv(sandbox, path.join(folder, 'state')))});`,
    'process.argv.length = 2;',
    `void import(${JSON.stringify(pathToFileURL(serverFile).href)});`,
  ];
  await writeFile(path.join(folder, 'npx'), lines.join('\n'), { mode: 0o755 });
  return folder;
}
