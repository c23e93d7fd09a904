import type { Disclosure } from '../core/change.ts';
import { ToolError } from '../core/errors.ts';
import type { AdmittedCredential } from '../dstack/run/runner.ts';
import type { Introspection, NamedCredentials } from '../dstack/warm/introspection.ts';
import { neverSent, outside } from '../safety/files/named-path.ts';
import type { IsAgreed } from '../safety/consent/remembered-consents.ts';
import type { PolicySnapshot } from '../safety/policy/policy-watch.ts';
import { ruleOn } from '../safety/policy/policy-rules.ts';

/** The private key of an SSH fleet. */
export interface NamedKey {
  /** The path as written. */
  readonly shown: string;
  readonly path: string;
  readonly isInWorkspace: boolean;
}

/** Everything of a configuration that needs consent. */
export interface Confidential {
  /** URLs of repositories, and of the remotes of local ones. */
  readonly remotes: readonly string[];
  readonly keys: readonly NamedKey[];
  /** Names of variables whose values are taken from this server's environment or an env file. */
  readonly variables: readonly string[];
}

export interface CredentialScope {
  readonly introspection: Pick<Introspection, 'credentials'>;
  readonly isAgreed: IsAgreed;
  /** The dstack server that everything goes to. */
  readonly server: string;
  readonly lists: PolicySnapshot['handOver'];
  /** The folders of the workspace. */
  readonly folders: readonly string[];
}

export interface JudgedCredentials {
  /** Disclosures that nobody has agreed to yet. */
  readonly open: readonly Disclosure[];
  /** Whether dstack must not be started before somebody has. Otherwise, only the credentials stay here. */
  readonly mustAsk: boolean;
  /** The credentials that may be sent. */
  readonly credentials: readonly AdmittedCredential[];
  /** The hosts that dstack contacts. */
  readonly hosts: readonly string[];
  /** Hashes of the keys that fleets send, by path. */
  readonly hashes: Readonly<Record<string, string>>;
}

interface Judged {
  readonly disclosure: Disclosure;
  readonly admits: readonly AdmittedCredential[];
  /** Whether dstack may run without consent to it. */
  readonly isOptional?: boolean;
}

/**
 * Judges which credentials would leave this computer, and which hosts would be contacted, and compares them with what was agreed to.
 * @throws ToolError `policy` for what is never sent; `outside-workspace` for a file outside that isn't a key; `invalid-file` for a URL
 * that can't be shown; `cli-not-understood` if dstack can't be asked
 */
export async function judgeCredentials(scope: CredentialScope, confidential: Confidential): Promise<JudgedCredentials> {
  const { keys, variables } = confidential;
  const found = await findCredentials(scope, confidential);
  const judged = [
    // dstack fails on a URL that it can't read (null) before it contacts anybody.
    ...found.repositories.flatMap((one) => (one === null ? [] : judgeRepository(scope, one))),
    ...found.keys.flatMap((sha256, index) => judgeKey(scope, keys[index], sha256)),
    ...variables.flatMap((name) => judgeVariable(scope, name)),
  ];
  const covered = await Promise.all(judged.map(({ disclosure }) => scope.isAgreed(disclosure)));
  const open = judged.filter((_one, index) => covered[index] !== true);
  return {
    open: open.map(({ disclosure }) => disclosure),
    mustAsk: open.some(({ isOptional }) => isOptional !== true),
    credentials: judged.filter((_one, index) => covered[index]).flatMap(({ admits }) => admits),
    hosts: [...new Set(found.repositories.flatMap((one) => one?.host ?? []))],
    hashes: Object.fromEntries(found.keys.map((sha256, index) => [keys[index]?.path ?? '', sha256 ?? 'not a key'])),
  };
}

async function findCredentials(
  { introspection }: CredentialScope,
  { remotes, keys }: Confidential,
): Promise<NamedCredentials> {
  if (remotes.length === 0 && keys.length === 0) return { repositories: [], keys: [] };
  const found = await introspection.credentials({ repositories: remotes, keys: keys.map((key) => key.path) });
  if (found !== undefined) return found;
  throw new ToolError(
    'cli-not-understood',
    "The installed dstack doesn't say which credentials it would send for a repository or an SSH fleet. Nothing was run or sent.",
    'doctor shows which dstack is used. A configuration without `repos` and `ssh_config` can be planned.',
  );
}

/** A longer text can't be shown whole, and nobody can agree to what they don't see. */
const MAX_SUBJECT = 200;

function judgeRepository(
  { server, lists }: CredentialScope,
  { host, url, cloneUrls, credentials }: NonNullable<NamedCredentials['repositories'][number]>,
): Judged {
  if (url.length > MAX_SUBJECT) throw tooLong();
  const rule = ruleOn(host, lists.hosts ?? {});
  if (rule === 'forbidden') throw neverSent(host);
  const names = credentials.map(
    ({ kind, path }) => `${kind === 'key' ? 'the private SSH key' : 'the token in'} ${path}`,
  );
  const sends = `send the first of these that opens it to the dstack server ${server}: ${names.join(', ')}`;
  return {
    disclosure: {
      kind: 'repository',
      subject: url,
      action: `contact ${host} for the Git repository ${url}${names.length === 0 ? '' : ` and, unless it is public, ${sends}`}`,
      credentials: [...new Set(credentials.map(({ sha256 }) => sha256))],
    },
    admits: credentials.map(({ sha256 }) => ({ sha256, cloneUrls })),
    isOptional: rule === 'allowed',
  };
}

const tooLong = (): ToolError =>
  new ToolError(
    'invalid-file',
    `The URL of a repository has more than ${MAX_SUBJECT} characters, which no question shows in full. Nothing was run or sent.`,
    'Use a plain URL, as in https://github.com/owner/name.',
  );

function judgeKey({ server, folders }: CredentialScope, key: NamedKey | undefined, sha256: string | null): Judged[] {
  if (key === undefined) return [];
  if (sha256 === null && key.isInWorkspace) throw notAKey(key.shown);
  if (sha256 === null) throw outside(key.shown, 'it is outside the workspace, and not a private SSH key', folders);
  const disclosure: Disclosure = {
    kind: 'ssh-key',
    subject: key.path,
    action: `send the private SSH key ${key.shown} to the dstack server ${server}`,
    credentials: [sha256],
  };
  return [{ disclosure, admits: [{ sha256 }] }];
}

const notAKey = (file: string): ToolError =>
  new ToolError(
    'invalid-file',
    `\`identity_file\` names ${file}, which is missing, isn't a private SSH key that dstack can use, or has a .pub file that isn't a public key. Nothing was run or sent.`,
    'Name the private key of the hosts.',
  );

function judgeVariable({ server, lists }: CredentialScope, name: string): Judged[] {
  const rule = ruleOn(name, lists.env ?? {});
  if (rule === 'forbidden') throw neverSent(`the variable ${name}`);
  if (rule === 'allowed' || lists.env?.allow === undefined) return [];
  const action = `send the value of ${name} to the dstack server ${server}`;
  return [{ disclosure: { kind: 'variable', subject: name, action, credentials: [] }, admits: [] }];
}
