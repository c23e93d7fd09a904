import type { Cli } from '../dstack/dstack-cli.ts';
import { formatPrice, plural } from '../core/values.ts';
import { describeCounts } from '../observability/calls.ts';
import type { Counts } from '../observability/calls.ts';
import type { Dialog } from '../safety/dialog/dialog.ts';
import { describeUnfinished } from '../safety/audit/unfinished-changes.ts';
import type { UnfinishedChanges } from '../safety/audit/unfinished-changes.ts';
import type { PolicyWatch } from '../safety/policy/policy-watch.ts';
import type { Settings } from '../settings/settings.ts';
import { ToolError } from '../core/errors.ts';
import type { Transcript } from '../core/transcript.ts';
import { readFailure } from '../dstack/output/read-outcome.ts';
import type { Failure } from '../dstack/output/read-outcome.ts';
import type { DstackClient } from '../dstack/client/dstack-client.ts';
import { checkMachine, checkRemembered, ok, problem, warning } from './local-checks.ts';
import type { DoctorCheck, DoctorReport, RememberedConsents } from './local-checks.ts';

/** The dstack commands that tools need, with those tools, which fail with `cli-too-old` if the CLI doesn't document the command. */
const NEEDED: Readonly<Record<string, string>> = {
  apply: 'plan, apply',
  attach: 'attach, exec, copy',
  event: 'event',
  fleet: 'fleet',
  'fleet get': 'fleet by name, delete',
  gateway: 'list',
  logs: 'logs',
  metrics: 'metrics',
  offer: 'offer',
  ps: 'ps',
  'run get': 'get, stop, attach, delete, exec, copy, request',
  stop: 'stop',
  volume: 'list',
};

type CheckedCli = Pick<Cli, 'executable' | 'version' | 'catalog' | 'worker'>;

export interface DoctorSources extends RememberedConsents {
  /** Checks this computer. Defaults to `checkMachine`. */
  readonly machine?: typeof checkMachine;
  readonly settings: Pick<Settings, 'warm' | 'maxPrice' | 'confirm' | 'readOnly' | 'workspace' | 'stateDir'>;
  readonly policy: Pick<PolicyWatch, 'state'>;
  readonly dialog: Pick<Dialog, 'availability'>;
  readonly unfinished: Pick<UnfinishedChanges, 'find'>;
  readonly dstack: Pick<DstackClient, 'endpoint' | 'tryRead'>;
  cli(): Promise<CheckedCli>;
  counts(): Counts;
}

/** The prompts that the client of this call can show. */
export interface ClientPrompts {
  readonly canAskPerson: boolean;
  readonly canShowCard: boolean;
}

/**
 * Checks everything that a call needs, in the order in which it would fail. Each problem comes with a fix. In a terminal there is no
 * client, so the report omits it.
 */
export async function checkSetup(sources: DoctorSources, client?: ClientPrompts): Promise<DoctorReport> {
  const { check, found } = await checkExecutable(sources);
  const rest = await Promise.all([
    ...(found === undefined ? [] : [checkCommands(found), checkServer(sources)]),
    ...(sources.machine ?? checkMachine)(sources),
  ]);
  return {
    checks: [
      check,
      ...rest.flat(),
      checkWorker(sources, found),
      checkPolicy(sources),
      ...(await checkUnfinished(sources)),
      ...(await checkRemembered(sources)),
      ...(client === undefined
        ? [checkConfirmation(sources)]
        : [checkConsent(sources, client), checkClient(client), checkCalls(sources)]),
    ],
    ...(client === undefined ? {} : { counters: { ...sources.counts(), workerStarts: found?.worker().starts ?? 0 } }),
  };
}

async function checkExecutable(sources: DoctorSources): Promise<{ check: DoctorCheck; found: CheckedCli | undefined }> {
  try {
    const found = await sources.cli();
    const { path, wrapper, notPython, tried, passedOver } = found.executable;
    const before = tried.slice(0, -1).filter((file) => !passedOver.includes(file));
    const searched = [
      ...(before.length === 0 ? [] : [`Not found at: ${before.join(', ')}`]),
      ...passedOver.map(
        (file) =>
          `Not used: ${file}, because it is in the workspace or the working directory. To use it, set DSTACK_MCP_CLI to it`,
      ),
    ];
    const details = searched.length === 0 ? {} : { details: searched.join('; ') };
    const via = wrapper === undefined ? '' : `, to which ${wrapper.path} leads`;
    const place = `${found.version} at ${path}${via}`;
    if (notPython === undefined) return { check: { ...ok('dstack', place), ...details }, found };
    return { check: { ...withoutScript(place, notPython), ...details }, found };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return { check: problem('dstack', error.message, error.hint), found: undefined };
  }
}

const withoutScript = (place: string, why: string): DoctorCheck =>
  warning(
    'dstack',
    `${place}, which leads to no Python script: ${why}. What dstack reads and sends can't be checked, so no file is planned or applied, and calls take as long as the dstack command itself`,
    'Set DSTACK_MCP_CLI to the dstack script in the environment where dstack is installed (`pyenv which dstack`, `asdf which dstack`, `mise which dstack`, or the path in the wrapper)',
  );

async function checkCommands(cli: CheckedCli): Promise<readonly DoctorCheck[]> {
  const { documented, missing } = await findCommands(cli.catalog);
  return [await checkDocumented(cli, missing), await checkCatalog(cli, documented)];
}

async function checkDocumented({ catalog, version }: CheckedCli, missing: readonly string[]): Promise<DoctorCheck> {
  const documented = (await catalog.commands()).length;
  if (missing.length === 0) return ok('commands', `${documented} commands are documented`);
  const needs = missing.map((command) => `${command} (${NEEDED[command]})`).join(', ');
  return warning(
    'commands',
    `dstack ${version} doesn't document ${needs}: the tools in parentheses don't work; all others do`,
    'Upgrade dstack: uv tool upgrade dstack, or pip install -U dstack',
  );
}

/** Splits the needed commands into those that the CLI documents and those that it doesn't. */
async function findCommands(catalog: Cli['catalog']): Promise<{ documented: string[]; missing: string[] }> {
  const documented: string[] = [];
  const missing: string[] = [];
  for (const command of Object.keys(NEEDED)) {
    const parent = await catalog.page(command.split(' ').slice(0, -1).join(' ')).catch(() => undefined);
    const isDocumented = parent?.help.subcommands.some(({ name }) => name === command.split(' ').at(-1));
    (isDocumented === true ? documented : missing).push(command);
  }
  return { documented, missing };
}

/** Checks that the flags of the needed commands can be parsed from their help pages: every command line is checked against them. */
async function checkCatalog({ catalog }: CheckedCli, documented: readonly string[]): Promise<DoctorCheck> {
  const unparsed: string[] = [];
  let flags = 0;
  for (const name of documented) {
    try {
      flags += (await catalog.flagsOf(name)).own.size;
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      unparsed.push(name);
    }
  }
  if (unparsed.length === 0) return ok('catalog', `${flags} flags are documented`);
  return warning(
    'catalog',
    `can't parse the help pages of ${unparsed.join(', ')}: the tools that need them don't run anything`,
    'Upgrade dstack and dstack-mcp. If the problem persists, report it with the output of `dstack <command> --help`',
  );
}

/** Failures of the project, not of the server: the server responded, or wasn't called. */
const PROJECT_FAILURES: ReadonlySet<Failure['code']> = new Set(['unauthorized', 'no-project']);

async function checkServer({ dstack }: DoctorSources): Promise<readonly DoctorCheck[]> {
  const startedAt = performance.now();
  const { project, server } = await dstack.endpoint(undefined);
  const { transcript } = await dstack.tryRead({ command: 'ps' }, { guarded: false });
  const failure = readFailure(transcript);
  const where = `project ${project} on ${server}`;
  const responds = ok('server', `${where} responds in ${Math.round(performance.now() - startedAt)} ms`);
  if (failure === undefined) return [responds, await checkProject(dstack, { project, server })];
  const { code, message, hint } = failure;
  const found = code === 'no-project' ? message : `${where}: ${message}`;
  const isProject = PROJECT_FAILURES.has(code);
  const failed = { ...problem(isProject ? 'project' : 'server', found, hint), code };
  return code === 'unauthorized' ? [responds, failed] : [failed];
}

/** An API of a project that every server has. */
const PROJECT_NOT_FOUND = /Status code 404 when requesting \S+\/api\/project\/[^/\s]+\/fleets\/list/;

/** Asks for the project itself: dstack lists the runs of a project that the server doesn't have as none. */
async function checkProject(
  dstack: DoctorSources['dstack'],
  { project, server }: { readonly project: string; readonly server: string },
): Promise<DoctorCheck> {
  const valid = ok('project', `${project}: its token is valid`);
  let transcript: Transcript;
  try {
    ({ transcript } = await dstack.tryRead({ command: 'fleet' }, { guarded: false }));
  } catch (error) {
    // A CLI that doesn't document the command: the check of commands reports it.
    if (error instanceof ToolError) return valid;
    throw error;
  }
  const failure = readFailure(transcript);
  if (failure === undefined) return valid;
  const { code, message, hint } = failure;
  if (!PROJECT_NOT_FOUND.test(`${transcript.stdout}\n${transcript.stderr}`))
    return { ...problem('project', `project ${project} on ${server}: ${message}`, hint), code };
  return {
    ...problem(
      'project',
      `${server} has no project ${project}`,
      `\`dstack project list\` shows the configured projects. To add another one, the user can run: dstack project add --name <project> --url ${server} --token <token>`,
    ),
    code: 'unknown-project',
  };
}

function checkWorker(sources: DoctorSources, cli: CheckedCli | undefined): DoctorCheck {
  if (sources.settings.warm === 'off') return ok('warm worker', 'off (DSTACK_MCP_WARM)');
  if (cli === undefined) return ok('warm worker', 'not started');
  const { kind, why, starts } = cli.worker();
  const found = `${kind}${why === undefined ? '' : `: ${why}`}; started ${plural(starts, 'time')}`;
  if (kind !== 'given-up') return ok('warm worker', found);
  return warning(
    'warm worker',
    `${found}: every call takes as long as the dstack command itself`,
    'It is restarted automatically. If the problem persists, set DSTACK_MCP_WARM=off, and report it with the log of DSTACK_MCP_LOG_LEVEL=debug',
  );
}

function checkPolicy(sources: DoctorSources): DoctorCheck {
  const state = sources.policy.state();
  const { maxPrice } = sources.settings;
  const cap = maxPrice === undefined ? '' : `, at most ${formatPrice(maxPrice)}`;
  if (state.kind === 'broken') return problem('policy', state.why, `Fix ${state.file}`);
  if (state.kind === 'none') return ok('policy', `no file${cap}`);
  return ok('policy', `${state.file}${cap}: ${JSON.stringify(state.policy)}`);
}

/** Warns of changes whose server ended before it knew their result. Without any, there is no check. */
async function checkUnfinished({ unfinished }: DoctorSources): Promise<readonly DoctorCheck[]> {
  const found = await unfinished.find();
  if (found.length === 0) return [];
  return [
    warning(
      'changes',
      `an earlier server ended before it knew the result of ${plural(found.length, 'change')}: ${found.map(describeUnfinished).join('; ')}`,
      'Check the current state with get, ps, fleet or list. The first call of the next server closes this in the audit log.',
    ),
  ];
}

function checkConsent(sources: DoctorSources, client: ClientPrompts): DoctorCheck {
  const { confirm, readOnly } = sources.settings;
  if (readOnly) return ok('consent', 'read-only: nothing can be changed');
  const dialog = sources.dialog.availability();
  const byDialog = dialog.kind === 'available' ? [`a dialog on the desktop (${dialog.tool})`] : [];
  const methods = [
    ...(client.canShowCard ? ['the card, once it is on the screen'] : []),
    ...(client.canAskPerson ? ["the client's form"] : byDialog),
  ];
  if (methods.length > 0) return ok('consent', `${confirm}: the user is asked with ${methods.join(', or ')}`);
  if (confirm === 'person') {
    return warning(
      'consent',
      'person: neither the client nor a dialog can ask the user, so every change is refused',
      'Use a client with elicitation (Claude Code, Cursor, VS Code)',
    );
  }
  return warning(
    'consent',
    `${confirm}: the client can't ask the user, so the confirmation token is enough`,
    'To make a person necessary, set DSTACK_MCP_CONFIRM=person, and use a client that can ask (Claude Code, Cursor, VS Code)',
  );
}

function checkClient({ canAskPerson, canShowCard }: ClientPrompts): DoctorCheck {
  const found = [
    canAskPerson ? 'it can show forms' : "it can't show forms",
    canShowCard ? 'it declares that it shows the card' : "it doesn't show the card",
  ];
  return ok('client', found.join('; '));
}

/** Summarizes the calls of this process. */
const checkCalls = (sources: DoctorSources): DoctorCheck => ok('calls', describeCounts(sources.counts()));

/** Describes the consent setting if there is no client. */
function checkConfirmation({ settings }: DoctorSources): DoctorCheck {
  return ok(
    'consent',
    settings.readOnly
      ? 'read-only: nothing can be changed'
      : `${settings.confirm}: whether the user can be asked depends on the client, whose doctor tool shows it`,
  );
}
