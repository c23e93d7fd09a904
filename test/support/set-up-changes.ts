import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { ChangeService } from '../../src/changes/change-service.ts';
import type { ChangeContext, ChangeSources, Planned } from '../../src/changes/change-service.ts';
import { SlowPlans, WaitingCalls } from '../../src/changes/between-calls.ts';
import type { ChangeFacts } from '../../src/changes/change-facts.ts';
import { createEnvFiles } from '../../src/configuration/env-files.ts';
import type { ChangeRequest } from '../../src/core/change.ts';
import type { Deadline } from '../../src/core/waiting.ts';
import { createDeadline } from '../../src/core/waiting.ts';
import { ToolError } from '../../src/core/errors.ts';
import type { Question, Report } from '../../src/core/report.ts';
import type { Transcript, WireEvent } from '../../src/core/transcript.ts';
import { checkArgv } from '../../src/dstack/argv/check-argv.ts';
import type { CheckedArgv } from '../../src/dstack/argv/command.ts';
import { DstackClient } from '../../src/dstack/client/dstack-client.ts';
import { createRetryGuard } from '../../src/dstack/client/retry-guard.ts';
import type { ClientCli, DstackSources } from '../../src/dstack/client/dstack-client.ts';
import type { DstackConfig } from '../../src/dstack/client/read-dstack-config.ts';
import type {
  ConfigurationSchemas,
  LoadedYaml,
  NamedCredentials,
  Verdict,
} from '../../src/dstack/warm/introspection.ts';
import type { Approve, ReadOptions, RunOptions, ExpectedChange } from '../../src/dstack/run/runner.ts';
import type { AuditEntry } from '../../src/safety/audit/audit-log.ts';
import { Agreements, Grants } from '../../src/safety/consent/remembered-consents.ts';
import { spendConsent } from '../../src/safety/consent/consent.ts';
import type { EnvFilesMode } from '../../src/settings/settings.ts';
import { Gate } from '../../src/safety/consent/gate.ts';
import type { Dialog } from '../../src/safety/dialog/dialog.ts';
import { createWorkspace } from '../../src/safety/files/workspace.ts';
import { createPolicyWatch } from '../../src/safety/policy/policy-watch.ts';
import type { PolicyWatchOptions } from '../../src/safety/policy/policy-watch.ts';
import { heldPlan, heldRemoval, planRequests } from './held-commands.ts';
import { readFixture } from './read-fixture.ts';
import { recordedCatalog } from './recorded-catalog.ts';
import type { RecordedVersion } from './recorded-catalog.ts';
import { emptyFolder } from './temporary-folders.ts';

/** Output of dstack: a recorded transcript by name, a transcript, or a function that returns one. */
export type Output = string | Transcript | ((argv: readonly string[], options: RunOptions) => Transcript);

/** One command that the code under test ran. */
export interface RanCommand {
  /** `held`: it was started, and changed nothing. */
  effect: 'read' | 'held' | 'change';
  readonly command: string;
  readonly argv: readonly string[];
  readonly options: ReadOptions;
  /** The changes that were allowed. */
  changes?: readonly ExpectedChange[];
}

/** The files that the recorded transcripts were made from, as far as their names, types and sizes go. */
export const FILES = {
  'task.dstack.yml':
    'type: task\nname: lab-task\nimage: alpine\ncommands: [echo hello]\nmax_duration: 2h\nresources: {gpu: RTX4090:1}\n',
  'unnamed.dstack.yml': 'type: task\nnodes: 2\nimage: alpine\ncommands: [echo hello]\n',
  'svc.dstack.yml': 'type: service\nname: lab-svc\nimage: alpine\ncommands: [serve]\nport: 8000\n',
  'dev.dstack.yml': 'type: dev-environment\nname: lab-dev\nide: vscode\n',
  'fleet.dstack.yml': 'type: fleet\nname: lab-cloud\nnodes: 0..4\nbackends: [cloudrift]\n',
  'vol.dstack.yml': 'type: volume\nname: lab-vol\nbackend: runpod\nregion: EU-RO-1\nsize: 100GB\n',
  'gw.dstack.yml': 'type: gateway\nname: lab-gw\nbackend: aws\nregion: eu-west-1\ndomain: "*.gw.example.com"\n',
} as const;

/** A name that was chosen for a resource without one. */
export const CHOSEN_NAME = /^[a-z]+-[a-z]+-\d+$/;

/** The time of a call in which the state after a change is looked at a few times only. */
export const SHORT_MS = 2_000;

const SERVER = 'http://127.0.0.1:3999';

/** dstack as a test describes it. A test may change every part while it runs. */
export interface World {
  /** Output of commands that only read, by command: `apply` (the plan), `run get`, `fleet`. */
  reads: Record<string, Output>;
  /** Output of commands that change something. */
  changes: Record<string, Output>;
  version: string;
  /** Whether dstack runs with the gate that judges its requests. */
  isPython: boolean;
  /** The value that dstack's own YAML loader reads; null if it doesn't answer. Defaults to what the text says. */
  loads?: LoadedYaml | null;
  /** The verdict of dstack's own parser. By default it isn't asked. */
  verdict?: Verdict;
  /** The schemas of dstack's configurations. By default there are none. */
  schemas?: ConfigurationSchemas;
  /** The credentials that dstack finds. By default it can't be asked. */
  credentials?: NamedCredentials;
  /** The version whose help pages the CLI prints. */
  documented: RecordedVersion;
  config: DstackConfig;
  env: Record<string, string>;
  /** Whether a line can be written to the audit log. */
  canAudit: (entry: AuditEntry) => boolean;
}

export interface ChangesOptions {
  /** The policy file's text. */
  readonly policy?: string;
  readonly settings?: Partial<Omit<PolicyWatchOptions, 'policy'>>;
  readonly defaultProject?: string;
  /** The state folder. Defaults to a new one. */
  readonly stateDir?: string;
  readonly envFiles?: EnvFilesMode;
  readonly maxUploadBytes?: number;
  readonly dialog?: Dialog;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Creates the change service with everything real but dstack itself, whose output is recorded. */
export function setUpChanges(options: ChangesOptions = {}) {
  const folder = realpathSync(emptyFolder());
  const home = realpathSync(emptyFolder());
  const write = (file: string, text: string): string => {
    const full = path.join(folder, file);
    mkdirSync(path.dirname(full), { recursive: true });
    writeFileSync(full, text);
    return full;
  };
  for (const [file, text] of Object.entries(FILES)) write(file, text);
  const policyFile = path.join(home, 'policy.yml');
  const writePolicy = (text: string): void => writeFileSync(policyFile, text);
  if (options.policy !== undefined) writePolicy(options.policy);
  const policy = createPolicyWatch({
    policy: options.policy === undefined ? undefined : policyFile,
    readOnly: false,
    confirm: 'ask',
    maxPrice: undefined,
    ...options.settings,
  });

  const world: World = {
    reads: {},
    changes: {},
    version: '0.22.5',
    documented: '0.22.5',
    isPython: true,
    config: configOf('lab', 'prod', 'out-empty'),
    env: {},
    canAudit: () => true,
  };
  const { sources, ran, progress, openDstack } = fakeDstack(world, options, () => policy.snapshot().allowedFlags);

  const audited: AuditEntry[] = [];
  const audit = {
    write: (entry: AuditEntry): void => {
      if (!world.canAudit(entry)) throw new ToolError('audit-unavailable', 'the disk is full', 'free some space');
      audited.push(entry);
    },
  };
  let clock = Date.now();
  // Each look at the clock is a second later, so that a form is answered in a person's time.
  const now = (): number => (clock += 1_000);
  const gate = new Gate<Report<ChangeFacts>>({ policy, audit, now, dialog: options.dialog });
  const stateDir = options.stateDir ?? path.join(home, 'state');
  const agreements = new Agreements(stateDir);
  const grants = new Grants(stateDir);
  const workspace = createWorkspace({ folders: [folder], home });
  const learned = new Set<string>();
  const envFiles = createEnvFiles({
    mode: options.envFiles ?? 'off',
    workspace,
    learn: (secrets) => {
      for (const secret of secrets) learned.add(secret);
    },
  });
  const filters = {
    redact: (text: string): string =>
      [...learned].reduce((masked, secret) => masked.replaceAll(secret, '[masked]'), text),
  };

  // The real settings have more, such as the paths of the workspace.
  const settings = { stateDir, maxUploadBytes: options.maxUploadBytes ?? 1024 ** 2, workspace: [folder] };
  const slowPlans = new SlowPlans<Planned>();
  const unsettled: ChangeSources['unsettled'] = new WeakMap();
  const waitingCalls = new WaitingCalls();
  const service = (context: Partial<ChangeContext> = {}): ChangeService =>
    new ChangeService(
      {
        gate,
        policy,
        settings,
        filters,
        workspace,
        envFiles,
        agreements,
        grants,
        audit,
        slowPlans,
        unsettled,
        waitingCalls,
        openDstack,
      },
      { canAskPerson: false, canShowCard: false, ...context },
    );
  return {
    folder,
    home,
    stateDir,
    world,
    /** Every command that was run, in order. */
    ran,
    /** The commands that change something, in order. */
    changed: (): readonly RanCommand[] => ran.filter(({ effect }) => effect === 'change'),
    audited,
    learned,
    progress,
    policy,
    gate,
    agreements,
    grants,
    workspace,
    sources,
    openDstack,
    write,
    writePolicy,
    service,
    preview: (request: ChangeRequest, context?: Partial<ChangeContext>): Promise<Report<ChangeFacts>> =>
      service(context).preview(request),
    /** Previews a change and returns its token. */
    mint: async (request: ChangeRequest): Promise<string> => tokenOf(await service().preview(request)),
    redeem: (token: string, context?: Partial<ChangeContext>): Promise<Report<ChangeFacts> | Question> =>
      service(context).redeem(token),
  };
}

/** dstack's configuration with these projects; the first one is the default. */
export const configOf = (...names: readonly string[]): DstackConfig => ({
  defaultProject: names[0],
  projects: names.map((name) => ({ name, url: SERVER })),
  secrets: [],
  tokenFor: () => undefined,
  serverOfEnvironment: undefined,
});

/** Returns the token of a preview. */
export function tokenOf({ facts, summary }: Report<ChangeFacts>): string {
  if (facts.token === undefined) throw new Error(`there is no token: ${summary}`);
  return facts.token;
}

/** Returns the report of a call that must not end with a question. */
export function reportOf(answer: Report<ChangeFacts> | Question): Report<ChangeFacts> {
  if ('kind' in answer) throw new Error(`expected a report, got the question ${answer.message}`);
  return answer;
}

/** A recorded transcript in which some words are replaced, such as the project. */
export function rewritten(name: string, ...replacements: readonly [from: string, to: string][]): Transcript {
  const transcript = readFixture(name);
  let { stdout } = transcript;
  for (const [from, to] of replacements) {
    if (!stdout.includes(from)) throw new Error(`${name} doesn't contain ${from}`);
    stdout = stdout.replaceAll(from, to);
  }
  return { ...transcript, stdout };
}

/** The recorded fleet without a run on it: dstack refuses to delete a busy one. */
export const idleFleet = (): Transcript => rewritten('fleet-get', ['"status": "busy"', '"status": "idle"']);

/** The output of `get NAME --json` for a resource that wasn't recorded. */
export const printedJson = (value: unknown): Transcript => ({
  ...readFixture('fleet-get'),
  stdout: `${JSON.stringify(value, undefined, 2)}\n`,
});

const lookUpOf = (command: string): string =>
  command === 'stop' || command === 'delete' ? 'run get' : `${command.split(' ')[0]} get`;

/** The events of changes that the server accepted, if dstack got that far. */
const sentFor = (changes: readonly ExpectedChange[], { exit, stdout }: Transcript): WireEvent[] =>
  ((exit.kind === 'exited' ? exit.code === 0 : stdout !== '') ? changes : []).flatMap(({ path: request }) => [
    { event: 'sent', path: request, kind: 'change' },
    { event: 'answered', path: request, kind: 'change', status: 200 },
  ]);

/** The sources of a client over the recorded output, with what was run. */
export function fakeDstack(
  world: Omit<World, 'canAudit'>,
  options: Pick<ChangesOptions, 'defaultProject' | 'timeoutMs' | 'signal'> = {},
  allowedFlags: () => readonly string[] = () => [],
) {
  const ran: RanCommand[] = [];
  const progress: string[] = [];
  const catalogs = new Map<RecordedVersion, ReturnType<typeof recordedCatalog>>();
  const catalogOf = (version: RecordedVersion): ReturnType<typeof recordedCatalog> => {
    const known = catalogs.get(version) ?? recordedCatalog(version);
    catalogs.set(version, known);
    return known;
  };
  const print = (outputs: World['reads'], argv: CheckedArgv, runOptions: RanCommand['options']): Transcript => {
    const output = outputs[argv.command];
    if (output === undefined) throw new Error(`no output is recorded for ${argv.argv.join(' ')}`);
    const transcript = typeof output === 'function' ? output(argv.argv, runOptions) : output;
    return typeof transcript === 'string' ? readFixture(transcript) : transcript;
  };
  /** Returns what a look-up prints now, without running it. */
  const look = (command: string, argv: readonly string[] = []): Transcript | undefined => {
    const output = world.reads[command];
    if (output === undefined) return undefined;
    const transcript = typeof output === 'function' ? output(argv, { timeoutMs: 0 }) : output;
    return typeof transcript === 'string' ? readFixture(transcript) : transcript;
  };
  const read = (argv: CheckedArgv, runOptions: RanCommand['options']): Transcript => {
    const transcript = print(world.reads, argv, runOptions);
    if (!world.isPython || argv.command !== 'apply' || transcript.requests !== undefined) return transcript;
    return { ...transcript, requests: planRequests(transcript, look) };
  };
  /** Runs a change as the real runners do: it plans and looks up, waits for the consent, and then changes something. */
  const change = async (command: RanCommand, argv: CheckedArgv, approve: Approve): Promise<Transcript> => {
    const isApply = argv.command === 'apply';
    const planned = isApply
      ? read(argv, command.options)
      : heldRemoval(argv.command, (lookUp) => look(lookUp, argv.argv));
    const ended = planned ?? print(world.reads, { ...argv, command: lookUpOf(argv.command) }, command.options);
    if (planned === undefined || (isApply && (ended.exit.kind !== 'exited' || ended.exit.code !== 0))) return ended;
    const held = isApply ? heldPlan(planned) : planned;
    const { requests = [] } = held;
    const { consent, changes } = await approve({ ...held, requests });
    if (!spendConsent(consent, argv.argv)) throw new ToolError('consent-missing', 'no consent', '');
    command.effect = 'change';
    command.changes = changes;
    const made = print(world.changes, argv, command.options);
    return { ...made, requests: [...requests, ...(made.requests ?? sentFor(changes, made))] };
  };
  const sources: DstackSources = {
    retryGuard: createRetryGuard(),
    defaultProject: options.defaultProject,
    async cli(): Promise<ClientCli> {
      const catalog = catalogOf(world.documented);
      return {
        version: world.version,
        isPython: world.isPython,
        introspection: {
          load: async (text) =>
            world.loads === undefined ? { value: parse(text, { version: '1.1' }) } : (world.loads ?? undefined),
          walk: async () => undefined,
          schemas: async () => world.schemas,
          credentials: async () => world.credentials,
          workTrees: async () => undefined,
          validate: async () => world.verdict,
        },
        catalog,
        env: world.env,
        check: (request) => checkArgv(request, catalog, allowedFlags),
        runner: {
          async read(argv, runOptions) {
            ran.push({ effect: 'read', command: argv.command, argv: argv.argv, options: runOptions });
            return read(argv, runOptions);
          },
          async change(argv, consent, runOptions) {
            const command: RanCommand = { effect: 'held', command: argv.command, argv: argv.argv, options: runOptions };
            if (typeof consent === 'function') {
              ran.push(command);
              return change(command, argv, consent);
            }
            // As the real runners do: without a consent for exactly this argv nothing is run.
            if (!spendConsent(consent, argv.argv)) throw new ToolError('consent-missing', 'no consent', '');
            ran.push({ ...command, effect: 'change' });
            return print(world.changes, argv, runOptions);
          },
        },
      };
    },
    readConfig: async () => world.config,
  };
  const openDstack = (deadline?: Deadline): DstackClient =>
    new DstackClient(
      sources,
      deadline ??
        createDeadline({
          timeoutMs: options.timeoutMs ?? 60_000,
          signal: options.signal ?? new AbortController().signal,
          progress: (message) => void progress.push(message),
        }),
    );
  return { sources, ran, progress, openDstack };
}
