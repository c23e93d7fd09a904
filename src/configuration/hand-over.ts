import { isRecord } from '../core/values.ts';
import { namedVariables } from './env-files.ts';

/** A path on this computer that dstack reads for a configuration. */
export interface NamedPath {
  /** The place in the configuration, as in `files[0]`. */
  readonly property: string;
  /** The path as written. */
  readonly path: string;
  readonly kind: 'files' | 'repository' | 'private-key';
}

/** Everything that dstack's CLI reads, sends or contacts for a configuration, in addition to the configuration itself. */
interface HandOver {
  readonly paths: readonly NamedPath[];
  /** Repositories by URL: dstack contacts their hosts, and may register credentials for them. */
  readonly remotes: readonly string[];
  /** Whether the configuration contains a registry password. */
  readonly hasRegistryPassword: boolean;
}

/**
 * Lists what dstack's CLI would read, send or contact for a parsed configuration. It depends on the properties alone, not on the
 * type: a type that dstack rejects is then listed with too much, never with too little.
 */
export function listHandOver(value: Readonly<Record<string, unknown>>): HandOver {
  const repositories = itemsOf(value['repos']).map((item, index) => readRepository(item, `repos[${index}]`));
  return {
    paths: [
      ...itemsOf(value['files']).flatMap((item, index) =>
        namePath(`files[${index}]`, localPathOf(item, splitMapping), 'files'),
      ),
      ...repositories.flatMap((one) => ('path' in one ? [one] : [])),
      ...findKeys(value['ssh_config'], 'ssh_config'),
    ],
    remotes: repositories.flatMap((one) => ('url' in one ? [one.url] : [])),
    hasRegistryPassword: hasPassword(value['registry_auth']),
  };
}

const itemsOf = (value: unknown): readonly unknown[] =>
  Array.isArray(value) ? value : value === undefined || value === null ? [] : [value];

const namePath = (property: string, path: string | undefined, kind: NamedPath['kind']): NamedPath[] =>
  path === undefined ? [] : [{ property, path, kind }];

/** Returns the local path of an item: a text, or a mapping. dstack accepts numbers as texts. */
function localPathOf(item: unknown, split: (text: string) => string): string | undefined {
  if (isRecord(item)) return textOf(item['local_path']);
  const text = textOf(item);
  return text === undefined ? undefined : split(text);
}

const textOf = (value: unknown): string | undefined =>
  typeof value === 'string' ? value : typeof value === 'number' ? String(value) : undefined;

/** Returns the local part of `local:remote`. The colon of a Windows drive belongs to the path (core/models/files.py). */
const splitMapping = (text: string): string => /^(?:[a-z]:(?=[\\/]))?[^:]*/i.exec(text)?.[0] ?? text;

function readRepository(item: unknown, property: string): NamedPath | { readonly url: string } {
  if (isRecord(item)) {
    const url = textOf(item['url']);
    return url === undefined || url === ''
      ? { property, path: textOf(item['local_path']) ?? '', kind: 'repository' }
      : { url };
  }
  const text = textOf(item) ?? '';
  // dstack's own rule (RepoSpec.parse): a user before the first colon, or `//` after it.
  const [before = '', after] = text.split(':');
  if (after !== undefined && (before.includes('@') || after.startsWith('//'))) return { url: `${before}:${after}` };
  return { property, path: splitMapping(text), kind: 'repository' };
}

/** Finds every `identity_file`: of all hosts, of one host, and of the proxies of both. */
function findKeys(value: unknown, property: string): NamedPath[] {
  if (Array.isArray(value)) return value.flatMap((item, index) => findKeys(item, `${property}[${index}]`));
  if (!isRecord(value)) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === 'identity_file'
      ? namePath(`${property}.${name}`, textOf(inner), 'private-key')
      : findKeys(inner, `${property}.${name}`),
  );
}

/** A password that the server takes from its own secrets isn't one. */
function hasPassword(value: unknown): boolean {
  const password = isRecord(value) ? textOf(value['password']) : undefined;
  return password !== undefined && !/^\s*\$\{\{\s*secrets\.[^}]*\}\}\s*$/.test(password);
}

/** The access that a run gets in addition to its own container. */
interface RunAccess {
  /** Sentences without their end. */
  readonly says: readonly string[];
  /** Whether it can reach the dstack server. */
  readonly reachesServer: boolean;
}

/**
 * Describes what a configuration opens, with the variables of `--env`: the dstack server, the machine, and ports. It depends on the
 * properties alone, not on the type.
 */
export function describeAccess(value: Readonly<Record<string, unknown>>, envFlag?: unknown): RunAccess {
  // The groups of a service have some of the properties themselves.
  const groups = [...listOf(value['replicas']), ...listOf(value['groups'])];
  const parts = [value, ...groups, { env: [envFlag].flat() }].filter(isRecord);
  const has = (name: string): boolean => parts.some((part) => isOn(part[name]));
  const folders = parts.flatMap((part) => listOf(part['volumes']).flatMap(instancePathOf));
  const ports = parts.flatMap((part) => listOf(part['ports']).map(portOf));
  const takesToken = parts.some((part) => setsToken(part));
  const reachesServer = has('dstack') || takesToken;
  return {
    reachesServer,
    says: [
      ...(has('dstack')
        ? ['the run can reach the dstack server (`dstack: true`): with a token, it can start and stop runs itself']
        : []),
      ...(takesToken
        ? ['the run gets the token of this user (`DSTACK_TOKEN`): it can start and stop runs itself']
        : []),
      ...(has('privileged') ? ['the container is privileged: it can control the machine that it runs on'] : []),
      ...(has('docker') ? ['the run starts other containers with Docker, in a privileged container'] : []),
      ...folders.map((folder) => `the run can read and write ${folder} on its machine`),
      ...ports.map((port) => `attaching to the run opens its port ${port} on this computer`),
      ...describeService(value),
    ],
  };
}

/** Whether a run gets `DSTACK_TOKEN`. dstack fills in its value before it submits a run, so a run always shows it with one. */
function setsToken(part: Readonly<Record<string, unknown>>): boolean {
  const { env } = part;
  const names = isRecord(env) ? Object.keys(env) : listOf(env).map((item) => String(item).split('=', 1)[0] ?? '');
  return [...names, ...namedVariables(part)].some((name) => name.trim() === 'DSTACK_TOKEN');
}

function describeService({ type, port, auth }: Readonly<Record<string, unknown>>): string[] {
  if (type !== 'service') return [];
  const who =
    auth === undefined || isOn(auth) ? 'users of the project' : 'anyone who knows its address (`auth: false`)';
  return [`the service is published${port === undefined ? '' : ` on its port ${portOf(port)}`} for ${who}`];
}

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** dstack accepts several words for false. Everything else counts as true, since it may be. */
const isOn = (value: unknown): boolean =>
  value !== undefined && value !== null && !/^"?(?:false|f|no|n|off|0)"?$/i.test(JSON.stringify(value));

/** Returns the folder of the machine, by dstack's own rule: a source with a slash (core/models/volumes.py). */
function instancePathOf(item: unknown): string[] {
  if (isRecord(item)) return typeof item['instance_path'] === 'string' ? [item['instance_path']] : [];
  const [source = ''] = String(item).split(':');
  return source.includes('/') ? [source] : [];
}

function portOf(item: unknown): string {
  if (!isRecord(item)) return String(item);
  const { local_port: local, container_port: container } = item;
  return [local, container]
    .flatMap((one) => (typeof one === 'number' || typeof one === 'string' ? [one] : []))
    .join(':');
}
