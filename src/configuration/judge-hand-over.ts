import path from 'node:path';
import { ToolError } from '../core/errors.ts';
import { formatBytes, joinParts } from '../core/values.ts';
import { expandHome, homeFolder } from '../core/paths.ts';
import { CommandFailed } from '../core/report.ts';
import type { Transcript } from '../core/transcript.ts';
import type { Cli } from '../dstack/dstack-cli.ts';
import type { Introspection, WorkTrees } from '../dstack/warm/introspection.ts';
import type { IsAgreed } from '../safety/consent/remembered-consents.ts';
import { isInside, outside, resolveAnywhere, resolveNamedPath } from '../safety/files/named-path.ts';
import type { ConfigurationFile } from '../safety/files/workspace.ts';
import type { PathScope } from '../safety/files/named-path.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';
import { checkRepository, assertSize, describeFiles, measureFiles } from './check-paths.ts';
import type { MeasuredFiles } from './check-paths.ts';
import type { NamedEnvironment } from './env-files.ts';
import { listHandOver } from './hand-over.ts';
import type { NamedPath } from './hand-over.ts';
import { judgeCredentials } from './judge-credentials.ts';
import type { JudgedCredentials, NamedKey } from './judge-credentials.ts';

/** Inputs of the judgment: dstack's own rules, its home folder, the operator's limits, and what was agreed to before. */
export interface HandOverScope {
  readonly cli: Pick<Cli, 'env'> & {
    readonly introspection: Pick<Introspection, 'walk' | 'credentials' | 'workTrees'>;
  };
  /** The folders of the workspace. */
  readonly folders: readonly string[];
  readonly policy: Pick<PolicySnapshot, 'readOnly' | 'handOver'>;
  readonly isAgreed: IsAgreed;
  /** The dstack server. */
  readonly server: string;
  readonly maxUploadBytes: number;
}

/** A configuration that is about to be planned. */
export interface PlannedFile {
  readonly file: Pick<ConfigurationFile, 'realPath' | 'relativePath' | 'folder'>;
  readonly value: Readonly<Record<string, unknown>>;
  readonly environment: Pick<NamedEnvironment, 'given' | 'inherited'>;
}

/** Everything that planning hands over to dstack's server, in addition to the configuration. */
export interface JudgedHandOver extends Pick<JudgedCredentials, 'open' | 'mustAsk' | 'credentials'> {
  /** Everything that planning sends. */
  readonly sends: readonly string[];
  /** The parts that are sent only when the plan is applied. */
  readonly sendsLater: readonly string[];
  /** Sentences without their end. Empty if only the configuration is sent. */
  readonly warnings: readonly string[];
  /** The archives of `files`, by the digest that the gate compares. */
  readonly archives: readonly string[];
  /** Hashes that a token binds, by path. */
  readonly hashes: Readonly<Record<string, string>>;
}

/**
 * Judges what dstack would read and send for a configuration, before dstack is started.
 * @throws ToolError `outside-workspace` for a path that leads outside, `invalid-file` for a repository that could run a program and for
 * too many bytes, `policy` for what is never sent, `read-only` if this server is read-only and anything but the configuration would be
 * sent
 */
export async function judgeHandOver(scope: HandOverScope, planned: PlannedFile): Promise<JudgedHandOver> {
  const { file, value, environment } = planned;
  const { paths, remotes, hasRegistryPassword } = listHandOver(value);
  if (paths.length > 0 && file.relativePath.startsWith('~'))
    throw outside(file.relativePath, 'dstack takes its `~` for a home folder', scope.folders);
  if (paths.filter(({ kind }) => kind !== 'private-key').length > MAX_PATHS) throw tooManyPaths(file.relativePath);
  const judged: JudgedPath[] = [];
  const files: MeasuredFiles[] = [];
  for (const named of paths) {
    const one = await judgePath(scope, planned, named);
    judged.push(one);
    if (one.files !== undefined) files.push(one.files);
    // One by one, so that no list of large folders is read to its end.
    assertSize(files, scope.maxUploadBytes);
  }
  const keys = judged.flatMap((one) => one.key ?? []);
  const confidential = await judgeCredentials(
    { ...scope, ...scope.cli, lists: scope.policy.handOver },
    {
      remotes: [...new Set([...remotes, ...judged.flatMap((one) => one.remotes)])],
      keys,
      variables: [...environment.inherited, ...environment.given.map((one) => one.split(' ', 1)[0] ?? one)],
    },
  );
  const { hosts } = confidential;
  const sent = [
    ...describeFiles(files),
    ...judged.flatMap((one) => one.sent),
    ...keys.map(({ shown }) => `the private SSH key ${shown}`),
    ...(hosts.length === 0 ? [] : [`the Git credentials that dstack finds for ${hosts.join(', ')}`]),
    ...(hasRegistryPassword ? ['the registry password in the configuration'] : []),
    ...(environment.inherited.length === 0
      ? []
      : [`the values of ${environment.inherited.join(', ')} from this server's environment`]),
  ];
  const sends = [...sent, ...(environment.given.length === 0 ? [] : [`the values of ${environment.given.join(', ')}`])];
  const sendsLater = judged.flatMap((one) => one.later);
  if (scope.policy.readOnly && sends.length > 0) throw readOnly(file.relativePath, joinParts(sends));
  const { open, mustAsk, credentials } = confidential;
  return {
    open,
    mustAsk,
    credentials,
    archives: files.map(({ archive }) => archive),
    sends,
    sendsLater,
    warnings: [
      ...sent.map((what) => `planning sent ${what} to the dstack server`),
      ...hosts.map((host) => `planning contacted ${host}`),
      ...sendsLater.map((what) => `applying sends ${what}`),
    ],
    hashes: Object.assign({}, ...judged.map((one) => one.hashes), confidential.hashes),
  };
}

/** Each is walked and read: more would take longer than a call. */
const MAX_PATHS = 100;

const tooManyPaths = (file: string): ToolError =>
  new ToolError(
    'invalid-file',
    `${file} names more than ${MAX_PATHS} paths in \`files\` and \`repos\`. Nothing was run or sent.`,
    'Put the files into a folder, and name that.',
  );

interface JudgedPath {
  readonly files?: MeasuredFiles;
  readonly key?: NamedKey;
  readonly sent: readonly string[];
  /** The part that is sent only when the plan is applied. */
  readonly later: readonly string[];
  /** URLs of the remotes of a repository. */
  readonly remotes: readonly string[];
  readonly hashes: Readonly<Record<string, string>>;
}

async function judgePath(scope: HandOverScope, { file }: PlannedFile, named: NamedPath): Promise<JudgedPath> {
  const home = homeFolder(scope.cli.env);
  const { allow = [], never = [] } = scope.policy.handOver.folders ?? {};
  const pathScope: PathScope = {
    // dstack resolves keys in its working directory, and everything else next to the configuration.
    base: named.kind === 'private-key' ? file.folder : path.dirname(file.realPath),
    folders: [...scope.folders, ...allow.map((folder) => expandHome(folder, home))],
    never: never.map((folder) => expandHome(folder, home)),
    home,
  };
  const nothing = { sent: [], later: [], remotes: [], hashes: {} };
  if (named.kind === 'private-key') {
    // A key needs consent wherever it is, and nothing but a key can be sent from its place.
    const { path: key, ...resolved } = await resolveAnywhere(named.path, pathScope);
    const isInWorkspace = await isInside({ path: key, ...resolved }, pathScope.folders);
    return { ...nothing, key: { shown: named.path, path: key, isInWorkspace } };
  }
  const resolved = await resolveNamedPath(named.path, pathScope);
  switch (named.kind) {
    case 'files': {
      const files = await measureFiles(scope.cli.introspection, resolved, {
        ...pathScope,
        from: named.path,
        maxBytes: scope.maxUploadBytes,
      });
      return { ...nothing, files, hashes: { [resolved.realPath]: files.hash } };
    }
    case 'repository': {
      // GitPython expands variables in the path (git/repo/base.py).
      if (/[$%]/.test(resolved.path)) throw outside(named.path, 'git would expand a variable in it', scope.folders);
      const repository = await checkRepository(resolved.realPath, pathScope);
      return {
        ...describeRepository(named.path, (await scope.cli.introspection.workTrees([resolved.path]))?.[0] ?? undefined),
        remotes: repository.remotes,
        hashes: { [path.join(resolved.realPath, '.git')]: repository.sha256 },
      };
    }
    default:
      return named.kind satisfies never;
  }
}

/** Describes what dstack sends of a local repository; undefined if dstack can't read it, or can't be asked. */
function describeRepository(
  shown: string,
  tree: NonNullable<WorkTrees[number]> | undefined,
): Pick<JudgedPath, 'sent' | 'later'> {
  const where = `the Git repository ${shown}`;
  if (tree === undefined)
    return { sent: [`the branch, commit and author of ${where}`], later: [`the uncommitted changes in ${where}`] };
  const { branch, commit, changedBytes } = tree;
  return {
    sent: [`the branch ${branch}, its commit ${commit.slice(0, 12)} and the author of ${where}`],
    later: changedBytes === 0 ? [] : [`${formatBytes(changedBytes)} of uncommitted changes in ${where}`],
  };
}

/** Adds to the error of a failed plan what was sent before it failed, if the requests show that files were. */
export function reportHandOver(
  failed: CommandFailed,
  { requests = [] }: Pick<Transcript, 'requests'>,
  { sends }: Pick<JudgedHandOver, 'sends'>,
): CommandFailed {
  const uploaded = requests.some((one) => one.event === 'sent' && one.path === 'files/upload_archive');
  if (!uploaded || sends.length === 0) return failed;
  const { report } = failed;
  return new CommandFailed({
    ...report,
    summary: `${report.summary} Before that, planning sent ${joinParts(sends)} to the dstack server.`,
  });
}

const readOnly = (file: string, what: string): ToolError =>
  new ToolError(
    'read-only',
    `This server is read-only, and planning ${file} would send ${what} to the dstack server. Nothing was run or sent.`,
    'Tell the user that this server is read-only. A configuration without these parts can be planned.',
  );
