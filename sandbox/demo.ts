import { Client } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { stringify } from 'yaml';
import { EXPERIMENT_STEPS, RUN_STEPS } from './demo-steps.ts';
import type { Step } from './demo-steps.ts';
import { preparePythonEnvironment } from './python-environment.ts';
import { startSandbox } from './sandbox.ts';
import type { Sandbox } from './sandbox.ts';
import { showProgress } from './show-progress.ts';

export interface DemoOptions {
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
  /** The bundled server to which the demo connects as a client. */
  readonly server: string;
  /** The command that starts this program. */
  readonly command: string;
  readonly cacheFolder: string;
}

interface Result {
  readonly text: string;
  readonly facts: Readonly<Record<string, unknown>>;
}

/** Time limit for repeating a step. The server fetches a job's first lines a few seconds after it starts. */
const REPEAT_MS = 30_000;

/** Longer than any call takes, except on an overloaded machine. */
const CALL_TIMEOUT_MS = 180_000;
const MAX_LOST_STOPS = 3;
/** Containers use the programs of the computer. */
const PYTHON = '/usr/bin/python3';
/** How long the person of the demo reads a form. */
const READING_MS = 1_000;

/** Returns the commands to try next. `command` starts this program. */
export function nextSteps(command: string): string {
  return [
    '── What to do next ──',
    `Add dstack-mcp to your MCP client:   ${command} setup --list`,
    `Check your own dstack setup:         ${command} doctor`,
    `Keep a sandbox running to try it in: ${command} sandbox`,
  ].join('\n');
}

/**
 * Runs an end-to-end demo against the sandbox and prints it as it happens. Stops at a step with an unexpected outcome. Returns the exit
 * code, and leaves nothing behind.
 */
export async function runDemo({ print, signal, server, command, cacheFolder }: DemoOptions): Promise<number> {
  const startedAt = performance.now();
  const timings: string[] = [];
  const timed = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
    const stepStartedAt = performance.now();
    const result = await step();
    timings.push(`${name.padEnd(60)} ${formatSeconds(stepStartedAt)}`);
    return result;
  };
  const pythonEnvironment = path.join(cacheFolder, 'python');
  const display = showProgress(print, process.stderr);
  await timed('setup', () =>
    preparePythonEnvironment({ folder: pythonEnvironment, onProgress: display.onProgress, signal }),
  ).finally(() => display.end());
  const sandbox = await timed('sandbox', () =>
    startSandbox({ pythonEnvironment, cacheFolder, onProgress: print, signal }),
  );
  try {
    await writeTrainingRun(sandbox);
    const client = await timed('connect over stdio', () => connect(sandbox, server, print));
    try {
      const canExperiment = sandbox.isolation.kind !== 'none' && existsSync(PYTHON);
      const steps = canExperiment ? [...RUN_STEPS, ...EXPERIMENT_STEPS] : RUN_STEPS;
      const failure = await showSteps(client, { steps, workspace: sandbox.workspace, print, timed });
      if (failure !== undefined) {
        print(`\nThe demo stopped: ${failure}.`);
        return 1;
      }
    } finally {
      await client.close();
    }
  } finally {
    await timed('stop the sandbox', () => sandbox.stop());
  }
  print('\n── How long it took ──');
  for (const line of timings) print(line);
  print(`${'total'.padEnd(60)} ${formatSeconds(startedAt)}`);
  print(`\n${nextSteps(command)}`);
  return 0;
}

const formatSeconds = (since: number): string => `${((performance.now() - since) / 1000).toFixed(1)} s`;

async function writeTrainingRun(sandbox: Sandbox): Promise<void> {
  const epochs = [1, 2, 3].map((epoch) => `echo "epoch ${epoch}: loss ${(1 / epoch).toFixed(2)}"`);
  const configuration = {
    type: 'task',
    name: 'train',
    commands: [...epochs, 'sleep infinity'],
    resources: { gpu: 'RTX4090' },
    max_duration: '2h',
  };
  sandbox.controls.scenarios.set('train', { pullMs: 1_500 });
  await writeFile(path.join(sandbox.workspace, 'train.dstack.yml'), stringify(configuration));
}

async function connect(sandbox: Sandbox, server: string, print: (line: string) => void): Promise<Client> {
  const client = new Client(
    { name: 'dstack-mcp-demo', version: '1.0.0' },
    { capabilities: { elicitation: { form: {} } } },
  );
  client.setRequestHandler('elicitation/create', async (request) => {
    const { params } = request;
    print(indent(`The client asks the person:\n${params.message}`));
    const schema = 'requestedSchema' in params ? params.requestedSchema : undefined;
    const decision = schema?.properties['decision'];
    const yes = decision !== undefined && 'enum' in decision ? decision.enum?.at(-1) : undefined;
    // An answer that comes at once doesn't count as a person's.
    await delay(READING_MS);
    print(indent(yes === undefined ? 'The person types: train' : `The person chooses: ${yes}`));
    return { action: 'accept', content: yes === undefined ? { name: 'train' } : { decision: yes } };
  });
  await client.connect(
    new StdioClientTransport({
      command: process.execPath,
      args: [server],
      env: {
        ...sandbox.env,
        DSTACK_MCP_STRUCTURED: 'on',
        DSTACK_MCP_CLI: sandbox.cli,
        DSTACK_MCP_WORKSPACE: sandbox.workspace,
        DSTACK_MCP_STATE_DIR: path.join(sandbox.home, 'state'),
      },
      stderr: 'inherit',
    }),
  );
  return client;
}

interface Show {
  readonly steps: readonly Step[];
  readonly workspace: string;
  readonly print: (line: string) => void;
  readonly timed: <T>(name: string, step: () => Promise<T>) => Promise<T>;
}

/** Makes the calls of the demo. Returns the reason if it stopped early. */
async function showSteps(client: Client, { steps, workspace, print, timed }: Show): Promise<string | undefined> {
  let facts: Readonly<Record<string, unknown>> = {};
  let losses = 0;
  for (let position = 0; ; position += 1) {
    const step = steps[position];
    if (!step) return undefined;
    const input = step.arguments(facts);
    print(`\n── ${step.title} ──`);
    if (step.edit) print(`(${await step.edit(workspace)})`);
    print(`→ ${step.tool} ${JSON.stringify(input)}`);
    const result = await timed(`${step.tool}: ${step.title}`, () => callUntil(client, step, { input, print }));
    print(indent(result.text));
    facts = result.facts;
    const { outcome } = facts;
    if (outcome === (step.outcome ?? 'done')) continue;
    // dstack can lose a stop (README.md). The person stops the run again.
    const isLostStop = outcome === 'failed' && steps[position - 1]?.tool === 'stop';
    if (!isLostStop || losses === MAX_LOST_STOPS) return `${step.tool} ended with outcome ${String(outcome)}`;
    losses += 1;
    position -= 2;
  }
}

async function callUntil(
  client: Client,
  { tool, until = () => true }: Step,
  { input, print }: { input: Record<string, unknown>; print: (line: string) => void },
): Promise<Result> {
  const deadline = performance.now() + REPEAT_MS;
  for (;;) {
    const result = await call(client, { name: tool, arguments: input }, print);
    if (until(result.facts) || performance.now() > deadline) return result;
    await delay(500);
  }
}

async function call(
  client: Client,
  request: { name: string; arguments: Record<string, unknown> },
  print: (line: string) => void,
): Promise<Result> {
  const result = await client.callTool(request, {
    timeout: CALL_TIMEOUT_MS,
    onprogress: ({ message }) => print(indent(`… ${message ?? ''}`)),
  });
  const content = Array.isArray(result.content) ? result.content : [];
  const text = content.map((block) => (block.type === 'text' ? block.text : `[${block.type}]`)).join('\n');
  const facts =
    typeof result.structuredContent === 'object' && result.structuredContent !== null ? result.structuredContent : {};
  return { text: shorten(text), facts: { ...facts } };
}

/** Shortens long output, such as the JSON of a run. */
function shorten(text: string): string {
  const lines = text.split('\n');
  if (lines.length <= 45) return text;
  return [...lines.slice(0, 14), `… ${lines.length - 22} lines …`, ...lines.slice(-8)].join('\n');
}

const indent = (text: string): string => text.replace(/^/gm, '  ');
