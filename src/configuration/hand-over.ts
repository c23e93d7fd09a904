import { isRecord } from '../core/values.ts';

/** A path on this computer that dstack reads for a configuration. */
export interface NamedPath {
  /** The place in the configuration, as in `files[0]`. */
  readonly property: string;
  /** The path as written. */
  readonly path: string;
  readonly kind: 'files' | 'repository' | 'private-key';
}

/** Everything that dstack's CLI reads, sends or contacts for a configuration, in addition to the configuration itself. */
export interface HandOver {
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

/** Returns the host of a repository's URL, for both forms that git accepts. Never returns a user name or a password. */
export function hostOf(url: string): string {
  const host = URL.canParse(url) ? new URL(url).hostname : /^[^/]+@([^/:]+):/.exec(url)?.[1];
  return host === undefined || host === '' ? 'an unknown host' : host;
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
