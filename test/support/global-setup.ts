import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { preparePythonEnvironment } from '../../sandbox/python-environment.ts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import { prepareState } from './prepare-state.ts';
import { writeRecorder } from './write-call-recorder.ts';
import { buildIfStale } from './build-if-stale.ts';
import { inRepository } from './paths.ts';

/** The sandbox that the tests of the e2e, ui and nightly tiers share. */
export interface SharedSandbox {
  readonly url: string;
  readonly token: string;
  readonly home: string;
  readonly cli: string;
  /** A CLI that records its calls (support/write-call-recorder.ts), and a state folder that was prepared for it. */
  readonly recorder: { readonly cli: string; readonly preparedState: string };
  readonly env: Readonly<Record<string, string>>;
  /** A state folder with a warm cache of help pages. Tests copy it. */
  readonly preparedState: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    readonly sandbox: SharedSandbox;
  }
}

interface RunningSandbox {
  readonly shared: SharedSandbox;
  readonly stop: () => Promise<void>;
}

/** Vitest loads this file once for each project; they share what this holds. */
const holder: { starting?: Promise<RunningSandbox>; users?: number } = ((globalThis as Record<symbol, object>)[
  Symbol.for('dstack-mcp test sandbox')
] ??= {});

/** Starts one sandbox for all projects that need it. Every test creates its own home folder in it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  holder.users = (holder.users ?? 0) + 1;
  holder.starting ??= start();
  const { shared, stop } = await holder.starting;
  project.provide('sandbox', shared);
  return async () => {
    holder.users = (holder.users ?? 0) - 1;
    if (holder.users === 0) await stop();
  };
}

async function start(): Promise<RunningSandbox> {
  await buildIfStale();
  const cacheFolder = inRepository('.cache');
  const say = (line: string): void => {
    process.stderr.write(`sandbox: ${line}\n`);
  };
  const pythonEnvironment = process.env['DSTACK_TEST_PYTHON_ENV'] ?? path.join(cacheFolder, 'python');
  if (process.env['DSTACK_TEST_PYTHON_ENV'] === undefined) {
    await preparePythonEnvironment({ folder: pythonEnvironment, onProgress: say });
  }
  const sandbox = await startSandbox({ pythonEnvironment, cacheFolder, onProgress: say });
  const { url, token, home, env } = sandbox;
  // Another CLI than the server's: `npm run lab -- matrix` combines versions.
  const cli = process.env['DSTACK_TEST_CLI'] ?? sandbox.cli;
  const preparedState = path.join(home, 'prepared-state');
  const folder = path.join(home, 'recorder');
  const recorder = { cli: await writeRecorder(folder, cli), preparedState: path.join(folder, 'prepared-state') };
  await Promise.all([
    prepareState({ ...env, DSTACK_MCP_CLI: cli }, preparedState),
    prepareState({ ...env, DSTACK_MCP_CLI: recorder.cli }, recorder.preparedState),
  ]);
  return { shared: { url, token, home, cli, recorder, env, preparedState }, stop: () => sandbox.stop() };
}
