import { isRecord } from '../core/values.ts';
import { namedVariables } from './env-files.ts';

/** The access that a run gets in addition to its own container. */
export interface RunAccess {
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
  const groups = [...itemsOf(value['replicas']), ...itemsOf(value['groups'])];
  const parts = [value, ...groups, { env: [envFlag].flat() }].filter(isRecord);
  const has = (name: string): boolean => parts.some((part) => isOn(part[name]));
  const folders = parts.flatMap((part) => itemsOf(part['volumes']).flatMap(instancePathOf));
  const ports = parts.flatMap((part) => itemsOf(part['ports']).map(portOf));
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
      ...(folders.length === 0 ? [] : [`the run can read and write on its machine: ${folders.join(', ')}`]),
      ...(ports.length === 0 ? [] : [`attaching to the run opens its ports on this computer: ${ports.join(', ')}`]),
      ...describeService(value),
    ],
  };
}

/** Whether a run gets `DSTACK_TOKEN`. dstack fills in its value before it submits a run, so a run always shows it with one. */
function setsToken(part: Readonly<Record<string, unknown>>): boolean {
  const { env } = part;
  const names = isRecord(env) ? Object.keys(env) : itemsOf(env).map((item) => String(item).split('=', 1)[0] ?? '');
  return [...names, ...namedVariables(part)].some((name) => name.trim() === 'DSTACK_TOKEN');
}

function describeService({ type, port, auth }: Readonly<Record<string, unknown>>): string[] {
  if (type !== 'service') return [];
  const who =
    auth === undefined || isOn(auth) ? 'users of the project' : 'anyone who knows its address (`auth: false`)';
  return [`the service is published${port === undefined ? '' : ` on its port ${portOf(port)}`} for ${who}`];
}

const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

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
