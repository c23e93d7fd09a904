import { execa } from 'execa';
import { access, constants, mkdir, stat } from 'node:fs/promises';
import type { CallContext } from '../call.ts';
import type { Cli } from '../cli-finder.ts';
import type { Engine } from '../engine.ts';
import { ToolError } from '../errors.ts';
import { readFailure } from '../output/read-failure.ts';
import type { CommandRunner } from './command-runner.ts';
import type { DoctorCheck, DoctorReport } from './powers.ts';

/** Commands that the tools build on; a CLI that doesn't document one is too old for that tool. */
const NEEDED = [
  'apply',
  'attach',
  'event',
  'fleet',
  'gateway',
  'logs',
  'metrics',
  'offer',
  'ps',
  'run',
  'stop',
  'volume',
];

/** Checks everything that a call needs, in the order in which it would fail; each finding comes with its mend. */
export async function examine(engine: Engine, context: CallContext, commands: CommandRunner): Promise<DoctorReport> {
  const cli = await examineExecutable(engine);
  const rest = await Promise.all([
    ...(cli.found === undefined ? [] : [examineCommands(cli.found), examineServer(engine, commands)]),
    examineSsh(),
    examineWorkspace(engine),
    examineState(engine),
  ]);
  return {
    checks: [
      cli.check,
      ...rest,
      examineWorker(engine, cli.found),
      examinePolicy(engine),
      examineConsent(engine, context),
    ],
  };
}

async function examineExecutable(engine: Engine): Promise<{ check: DoctorCheck; found: Cli | undefined }> {
  try {
    const found = await engine.cli();
    return { check: { name: 'dstack', state: 'ok', found: `${found.version} at ${found.executable.path}` }, found };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return { check: { name: 'dstack', state: 'wrong', found: error.message, mend: error.hint }, found: undefined };
  }
}

async function examineCommands({ catalogue, version }: Cli): Promise<DoctorCheck> {
  const documented = new Set((await catalogue.commands()).map((command) => command.name));
  const missing = NEEDED.filter((name) => !documented.has(name));
  if (missing.length === 0)
    return { name: 'commands', state: 'ok', found: `${documented.size} commands are documented` };
  return {
    name: 'commands',
    state: 'warning',
    found: `dstack ${version} doesn't document ${missing.join(', ')}: the tools that need them won't work`,
    mend: 'Upgrade dstack: uv tool upgrade dstack, or pip install -U dstack',
  };
}

async function examineServer(engine: Engine, commands: CommandRunner): Promise<DoctorCheck> {
  const startedAt = performance.now();
  const { project, server } = await engine.endpoint(undefined);
  const { transcript } = await commands.tryRead({ command: 'ps' }, { guarded: false });
  const failure = readFailure(transcript);
  const where = `project ${project} on ${server}`;
  if (failure === undefined) {
    return {
      name: 'server',
      state: 'ok',
      found: `${where} answers, in ${Math.round(performance.now() - startedAt)} ms`,
    };
  }
  return { name: 'server', state: 'wrong', found: `${where}: ${failure.message}`, mend: failure.hint };
}

async function examineSsh(): Promise<DoctorCheck> {
  const { failed, stderr } = await execa('ssh', ['-V'], { reject: false, timeout: 5_000, stdin: 'ignore' });
  if (!failed) return { name: 'ssh', state: 'ok', found: stderr.trim() };
  return {
    name: 'ssh',
    state: 'warning',
    found: "ssh can't be run: attach won't work",
    mend: 'Install OpenSSH (openssh-client on Debian and Ubuntu)',
  };
}

async function examineWorkspace(engine: Engine): Promise<DoctorCheck> {
  const missing: string[] = [];
  for (const folder of engine.settings.workspace) {
    const isFolder = await stat(folder).then(
      (found) => found.isDirectory(),
      () => false,
    );
    if (!isFolder) missing.push(folder);
  }
  const shown = engine.settings.workspace.join(', ');
  if (missing.length === 0) return { name: 'workspace', state: 'ok', found: shown };
  return {
    name: 'workspace',
    state: 'warning',
    found: `${missing.join(', ')} doesn't exist`,
    mend: `Create it, or set DSTACK_MCP_WORKSPACE to the folder of your configurations`,
  };
}

async function examineState(engine: Engine): Promise<DoctorCheck> {
  const { stateDir } = engine.settings;
  try {
    await mkdir(stateDir, { recursive: true, mode: 0o700 });
    await access(stateDir, constants.W_OK);
    return { name: 'state', state: 'ok', found: stateDir };
  } catch {
    return {
      name: 'state',
      state: 'wrong',
      found: `${stateDir} can't be written, so no change can be recorded, and none is made`,
      mend: 'Set DSTACK_MCP_STATE_DIR to a folder that can be written',
    };
  }
}

function examineWorker(engine: Engine, cli: Cli | undefined): DoctorCheck {
  if (!engine.settings.warm) return { name: 'warm worker', state: 'ok', found: 'off (DSTACK_MCP_WARM)' };
  return { name: 'warm worker', state: 'ok', found: cli?.describeWorker() ?? 'not started' };
}

function examinePolicy(engine: Engine): DoctorCheck {
  const state = engine.policy.state();
  const { maxPrice } = engine.settings;
  const cap = maxPrice === undefined ? '' : `, at most $${maxPrice} an hour`;
  if (state.kind === 'broken') return { name: 'policy', state: 'wrong', found: state.why, mend: `Mend ${state.file}` };
  if (state.kind === 'none') return { name: 'policy', state: 'ok', found: `no file${cap}` };
  return { name: 'policy', state: 'ok', found: `${state.file}${cap}: ${JSON.stringify(state.policy)}` };
}

function examineConsent(engine: Engine, context: CallContext): DoctorCheck {
  const { confirm, readOnly } = engine.settings;
  if (readOnly) return { name: 'consent', state: 'ok', found: 'read-only: nothing can be changed' };
  const dialog = engine.dialog.availability();
  const byClient = [
    ...(context.canShowCard ? ['the card'] : []),
    ...(context.canAskPerson ? ["the client's form"] : []),
  ];
  const byDialog = dialog.kind === 'available' ? [`a dialog on the desktop (${dialog.tool})`] : [];
  const ways = byClient.length > 0 ? byClient : byDialog;
  if (ways.length > 0)
    return { name: 'consent', state: 'ok', found: `${confirm}: a person is asked by ${ways.join(' and ')}` };
  if (confirm === 'person') {
    return {
      name: 'consent',
      state: 'warning',
      found: "person: the client can't ask one and there is no dialog, so every change is refused",
      mend: 'Use a client with elicitation (Claude Code, Cursor, VS Code)',
    };
  }
  return {
    name: 'consent',
    state: 'ok',
    found: `${confirm}: the client can't ask a person, so the token that the plan gave is what counts`,
  };
}
