import path from 'node:path';
import type { TestProject } from 'vitest/node';
import { preparePythonEnvironment } from '../../sandbox/python-environment.ts';
import { startSandbox } from '../../sandbox/sandbox.ts';
import { prepareState } from './prepare-state.ts';
import { writeRecorder } from './write-recorder.ts';
import { repositoryRoot } from './paths.ts';

/** What tests are given of the sandbox that all of them share. */
export interface SharedSandbox {
  readonly url: string;
  readonly token: string;
  readonly home: string;
  readonly cli: string;
  /** The CLI behind a recorder (support/write-recorder.ts), and what servers have found out about that one. */
  readonly recorder: { readonly cli: string; readonly preparedState: string };
  readonly env: Readonly<Record<string, string>>;
  /** What servers have found out once already, for their state folders. */
  readonly preparedState: string;
}

declare module 'vitest' {
  interface ProvidedContext {
    readonly sandbox: SharedSandbox;
  }
}

const root = repositoryRoot;

/** Starts one sandbox for the whole test run; every test makes a home folder of its own in it. */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const cacheFolder = path.join(root, '.cache');
  const say = (line: string): void => {
    process.stderr.write(`sandbox: ${line}\n`);
  };
  const pythonEnvironment = process.env['DSTACK_TEST_PYTHON_ENV'] ?? path.join(cacheFolder, 'python');
  if (process.env['DSTACK_TEST_PYTHON_ENV'] === undefined) {
    await preparePythonEnvironment({ folder: pythonEnvironment, onProgress: say });
  }
  const sandbox = await startSandbox({ pythonEnvironment, cacheFolder, onProgress: say });
  const { url, token, home, env } = sandbox;
  // Another CLI than that of the server: `npm run matrix` has them of different versions.
  const cli = process.env['DSTACK_TEST_CLI'] ?? sandbox.cli;
  const preparedState = path.join(home, 'prepared-state');
  await prepareState({ ...env, DSTACK_MCP_CLI: cli }, preparedState);
  const folder = path.join(home, 'recorder');
  const recorder = { cli: await writeRecorder(folder, cli), preparedState: path.join(folder, 'prepared-state') };
  await prepareState({ ...env, DSTACK_MCP_CLI: recorder.cli }, recorder.preparedState);
  project.provide('sandbox', { url, token, home, cli, recorder, env, preparedState });
  return () => sandbox.stop();
}
