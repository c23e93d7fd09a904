import type { Cli } from '../dstack/dstack-cli.ts';
import { describeCounts } from '../observability/counters.ts';
import type { Counts } from '../observability/counters.ts';
import type { Dialog } from '../safety/dialog/dialog.ts';
import type { PolicyWatch } from '../safety/policy/policy-watch.ts';
import type { Settings } from '../settings/settings.ts';
import { ToolError } from '../core/errors.ts';
import { readFailure } from '../dstack/output/read-failure.ts';
import type { FailureCode } from '../dstack/output/failure-table.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { checkMachine } from './machine-checks.ts';
import type { DoctorCheck, DoctorReport } from './report.ts';

/** The commands that the tools build on, and which tools do: a CLI that doesn't document one is too old for those. */
const NEEDED: Readonly<Record<string, string>> = {
  apply: 'plan, apply',
  attach: 'attach',
  event: 'event',
  fleet: 'fleet',
  'fleet get': 'fleet by name, delete',
  gateway: 'list',
  logs: 'logs',
  metrics: 'metrics',
  offer: 'offer',
  ps: 'ps',
  'run get': 'get, stop, attach, delete',
  stop: 'stop',
  volume: 'list',
};

/** What is checked. */
export interface DoctorSources {
  readonly settings: Pick<Settings, 'warm' | 'maxPrice' | 'confirm' | 'readOnly' | 'workspace' | 'stateDir'>;
  readonly policy: Pick<PolicyWatch, 'state'>;
  readonly dialog: Pick<Dialog, 'availability'>;
  readonly dstack: DstackClient;
  cli(): Promise<Cli>;
  counts(): Counts;
}

/** What the client of this call can show a person. */
export interface ClientCapabilities {
  readonly canAskPerson: boolean;
  readonly canShowCard: boolean;
}

/**
 * Checks everything that a call needs, in the order in which it would fail; each problem comes with a fix. Without a client, in a
 * terminal, nothing is said about one.
 */
export async function checkSetup(sources: DoctorSources, client?: ClientCapabilities): Promise<DoctorReport> {
  const { check, found } = await checkExecutable(sources);
  const rest = await Promise.all([
    ...(found === undefined ? [] : [checkCommands(found), checkCatalog(found), checkServer(sources)]),
    ...checkMachine(sources),
  ]);
  return {
    checks: [
      check,
      ...rest.flat(),
      checkWorker(sources, found),
      checkPolicy(sources),
      ...(client === undefined
        ? [checkConfirmation(sources)]
        : [checkConsent(sources, client), checkClient(client), checkCalls(sources)]),
    ],
    ...(client === undefined ? {} : { counters: { ...sources.counts(), workerStarts: found?.worker().starts ?? 0 } }),
  };
}

async function checkExecutable(sources: DoctorSources): Promise<{ check: DoctorCheck; found: Cli | undefined }> {
  try {
    const found = await sources.cli();
    const { path, tried } = found.executable;
    const before = tried.slice(0, -1);
    const details = before.length === 0 ? {} : { details: `Not found at: ${before.join(', ')}` };
    return { check: { name: 'dstack', state: 'ok', found: `${found.version} at ${path}`, ...details }, found };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const [found = '', places] = error.message.split(/ (?=Looked for: )/);
    const details = places === undefined ? {} : { details: places };
    return { check: { name: 'dstack', state: 'error', found, fix: error.hint, ...details }, found: undefined };
  }
}

async function checkCommands({ catalog, version }: Cli): Promise<DoctorCheck> {
  const documented = (await catalog.commands()).length;
  const { lacking } = await lookUp(catalog);
  if (lacking.length === 0) return { name: 'commands', state: 'ok', found: `${documented} commands are documented` };
  const needs = lacking.map((command) => `${command} (${NEEDED[command]})`).join(', ');
  return {
    name: 'commands',
    state: 'warning',
    found: `dstack ${version} doesn't document ${needs}: what stands in brackets answers that dstack is too old, the other tools work`,
    fix: 'Upgrade dstack: uv tool upgrade dstack, or pip install -U dstack',
  };
}

/** Which of the commands that the tools build on the CLI documents. */
async function lookUp(catalog: Cli['catalog']): Promise<{ documented: string[]; lacking: string[] }> {
  const documented: string[] = [];
  const lacking: string[] = [];
  for (const command of Object.keys(NEEDED)) {
    const parent = await catalog.page(command.split(' ').slice(0, -1).join(' ')).catch(() => undefined);
    const isThere = parent?.help.subcommands.some(({ name }) => name === command.split(' ').at(-1));
    (isThere === true ? documented : lacking).push(command);
  }
  return { documented, lacking };
}

/** The flags of what the tools build on can be read from the help pages, which every command is checked against. */
async function checkCatalog({ catalog }: Cli): Promise<DoctorCheck> {
  const { documented } = await lookUp(catalog);
  const unread: string[] = [];
  let flags = 0;
  for (const name of documented) {
    try {
      flags += (await catalog.flagsOf(name)).own.size;
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      unread.push(name);
    }
  }
  if (unread.length === 0) return { name: 'catalog', state: 'ok', found: `${flags} flags of theirs are understood` };
  return {
    name: 'catalog',
    state: 'warning',
    found: `the help pages of ${unread.join(', ')} aren't understood: the tools that need them refuse to run anything`,
    fix: 'Upgrade dstack and dstack-mcp; if it stays, report it with the output of `dstack <command> --help`',
  };
}

/** With these dstack has answered, or was not even asked: the project is what is wrong. */
const OF_THE_PROJECT: ReadonlySet<FailureCode> = new Set(['unauthorized', 'no-project']);

async function checkServer({ dstack }: DoctorSources): Promise<readonly DoctorCheck[]> {
  const startedAt = performance.now();
  const { project, server } = await dstack.endpoint(undefined);
  const { transcript } = await dstack.tryRead({ command: 'ps' }, { guarded: false });
  const failure = readFailure(transcript);
  const where = `project ${project} on ${server}`;
  const answers: DoctorCheck = {
    name: 'server',
    state: 'ok',
    found: `${where} answers, in ${Math.round(performance.now() - startedAt)} ms`,
  };
  if (failure === undefined)
    return [answers, { name: 'project', state: 'ok', found: `${project}: its token is valid` }];
  const { code, message, hint } = failure;
  const error = { state: 'error', found: `${where}: ${message}`, fix: hint, code } as const;
  if (!OF_THE_PROJECT.has(code)) return [{ name: 'server', ...error }];
  return [...(code === 'unauthorized' ? [answers] : []), { name: 'project', ...error }];
}

function checkWorker(sources: DoctorSources, cli: Cli | undefined): DoctorCheck {
  if (!sources.settings.warm) return { name: 'warm worker', state: 'ok', found: 'off (DSTACK_MCP_WARM)' };
  if (cli === undefined) return { name: 'warm worker', state: 'ok', found: 'not started' };
  const { kind, why, starts } = cli.worker();
  const found = `${kind}${why === undefined ? '' : `: ${why}`}; started ${starts} ${starts === 1 ? 'time' : 'times'}`;
  if (kind !== 'given-up') return { name: 'warm worker', state: 'ok', found };
  return {
    name: 'warm worker',
    state: 'warning',
    found: `${found}: every call takes as long as the command itself`,
    fix: 'It is tried again by itself; if it stays, set DSTACK_MCP_WARM=off, and report it with the log of DSTACK_MCP_LOG_LEVEL=debug',
  };
}

function checkPolicy(sources: DoctorSources): DoctorCheck {
  const state = sources.policy.state();
  const { maxPrice } = sources.settings;
  const cap = maxPrice === undefined ? '' : `, at most $${maxPrice} an hour`;
  if (state.kind === 'broken') return { name: 'policy', state: 'error', found: state.why, fix: `Mend ${state.file}` };
  if (state.kind === 'none') return { name: 'policy', state: 'ok', found: `no file${cap}` };
  return { name: 'policy', state: 'ok', found: `${state.file}${cap}: ${JSON.stringify(state.policy)}` };
}

function checkConsent(sources: DoctorSources, context: ClientCapabilities): DoctorCheck {
  const { confirm, readOnly } = sources.settings;
  if (readOnly) return { name: 'consent', state: 'ok', found: 'read-only: nothing can be changed' };
  const dialog = sources.dialog.availability();
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
      fix: 'Use a client with elicitation (Claude Code, Cursor, VS Code)',
    };
  }
  return {
    name: 'consent',
    state: 'ok',
    found: `${confirm}: the client can't ask a person, so the token that the plan gave is what counts`,
  };
}

function checkClient({ canAskPerson, canShowCard }: ClientCapabilities): DoctorCheck {
  const found = [
    canAskPerson ? 'it can show a person a form' : "it can't show a person a form",
    canShowCard ? 'it shows the card' : "it doesn't show the card",
  ];
  return { name: 'client', state: 'ok', found: found.join('; ') };
}

/** This process's own calls, for who looks into how it does. */
function checkCalls(sources: DoctorSources): DoctorCheck {
  return { name: 'calls', state: 'ok', found: describeCounts(sources.counts()) };
}

/** What is known of consent before any client is there. */
function checkConfirmation({ settings }: DoctorSources): DoctorCheck {
  const found = settings.readOnly
    ? 'read-only: nothing can be changed'
    : `${settings.confirm}: whether a person can be asked depends on the client; its doctor tool says`;
  return { name: 'consent', state: 'ok', found };
}
