import { Document, isMap, isScalar } from 'yaml';
import { readNeed } from './read-need.ts';
import type { Asked } from './read-need.ts';
import { isRecord } from './schema-index.ts';
import type { SchemaIndex } from './schema-index.ts';
import { descriptionOf, referenceLink } from './schema-words.ts';

/** A first configuration of a type. */
export interface StartingFile {
  readonly text: string;
  /** Something that was asked for is in it, or nothing was asked for. */
  readonly isAnswer: boolean;
  /** What was asked for and isn't in it: no such property, or no meaning. */
  readonly unused: readonly string[];
  /** Properties with an example for a value, which only the person knows. */
  readonly examples: readonly string[];
}

type Value = Record<string, unknown>;

/** What a type begins with, given what was asked for. */
interface Base {
  readonly value: Value;
  /** Those of its properties that are examples, unless they were asked for. */
  readonly examples: readonly string[];
}

/** The least that makes sense, bounded in what it can cost. What the installed dstack doesn't know of it is left out. */
const BASES: Readonly<Record<string, (asked: Value) => Base>> = {
  task: ({ image }) => ({
    value: {
      type: 'task',
      name: 'my-task',
      ...(image === undefined ? { commands: ['python train.py'] } : {}),
      max_duration: '8h',
    },
    examples: ['commands'],
  }),
  service: startService,
  'dev-environment': () => ({
    value: { type: 'dev-environment', name: 'my-dev', ide: 'vscode', inactivity_duration: '2h', max_duration: '8h' },
    examples: [],
  }),
  fleet: () => ({ value: { type: 'fleet', name: 'my-fleet', nodes: '0..1', idle_duration: '10m' }, examples: [] }),
  volume: () => ({
    value: { type: 'volume', name: 'my-volume', backend: 'aws', region: 'eu-west-1', size: '100GB' },
    examples: ['backend', 'region', 'size'],
  }),
  gateway: () => ({
    value: { type: 'gateway', name: 'my-gateway', backend: 'aws', region: 'eu-west-1', domain: 'example.com' },
    examples: ['backend', 'region', 'domain'],
  }),
  preset: () => ({
    value: {
      type: 'preset',
      name: 'my-preset',
      model: 'Qwen/Qwen3-8B',
      min_context_length: 8192,
      max_ttft: 2000,
      concurrency: 8,
      trials: 3,
    },
    examples: ['model', 'min_context_length', 'max_ttft', 'concurrency', 'trials'],
  }),
  profiles: () => ({ value: { name: 'my-profile', max_duration: '8h' }, examples: [] }),
};

function startService({ model, image, port = 8000 }: Value): Base {
  const commands = serveCommands({ model: plain(model), image: plain(image), port: plain(port) ?? '' });
  return {
    value: { type: 'service', name: 'my-service', ...(commands === undefined ? {} : { commands }), port },
    examples: model === undefined ? ['commands'] : [],
  };
}

const plain = (value: unknown): string | undefined =>
  typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;

/** A model without an image is served as dstack's own example does it; none where the image knows what to do. */
function serveCommands({
  model,
  image,
  port,
}: {
  model: string | undefined;
  image: string | undefined;
  port: string;
}): string[] | undefined {
  if (model === undefined) return image === undefined ? [`python -m http.server ${port}`] : undefined;
  const serve = `vllm serve ${model} --port ${port}`;
  if (image === undefined) return ['uv pip install vllm', `uv run ${serve}`];
  return image.includes('vllm') ? [serve] : undefined;
}

/** In which order a person reads them. What isn't listed comes behind. */
const ORDER =
  'type name ide image python commands port ports model backend region domain size nodes placement replicas resources volumes fleets backends regions spot_policy'.split(
    ' ',
  );

/** Makes a first configuration from a few words of need; undefined for a type that dstack doesn't know. */
export function startFile(index: SchemaIndex, type: string, words: string): StartingFile | undefined {
  const root = index.root(type);
  const base = Object.hasOwn(BASES, type) ? BASES[type] : undefined;
  if (root === undefined || base === undefined) return undefined;
  const inside = type === 'profiles' ? ['profiles'] : [];
  const has = (place: string): boolean => index.find(type, [...inside, ...place.split('.')]) !== undefined;
  const need = readNeed(words);
  const { value: wanted, unused } = placeAll(need.asked, has);
  const { value: begun, examples } = base(wanted);
  const known = Object.entries(begun).filter(([name]) => name === 'type' || has(name));
  const whole = dropForeign(index, { type, begun: Object.fromEntries(known), wanted });
  const names = Object.keys(whole.value).sort((a, b) => rank(a) - rank(b));
  const ordered = Object.fromEntries(names.map((name) => [name, whole.value[name]]));
  const shownExamples = examples.filter((name) => name in ordered && !(name in wanted));
  return {
    isAnswer: Object.keys(wanted).length > whole.foreign.length || need.asked.length + need.unknown.length === 0,
    text: write(index, { type, inside, value: ordered, examples: shownExamples }),
    unused: [...need.unknown, ...unused, ...whole.foreign],
    examples: shownExamples,
  };
}

const rank = (name: string): number => (ORDER.includes(name) ? ORDER.indexOf(name) : ORDER.length);

/** Puts each thing where the type has a place for it. */
function placeAll(asked: readonly Asked[], has: (place: string) => boolean): { value: Value; unused: string[] } {
  const value: Value = {};
  const unused: string[] = [];
  for (const { said, places, values } of asked) {
    const place = places.find((one) => has(one.replace('[]', '')));
    if (place === undefined || (values.length > 1 && !place.endsWith('[]'))) {
      unused.push(said);
      continue;
    }
    const [first = '', second] = place.replace('[]', '').split('.');
    const before = value[first];
    if (second !== undefined) value[first] = { ...(isRecord(before) ? before : {}), [second]: values[0] };
    else value[first] = place.endsWith('[]') ? [...(Array.isArray(before) ? before : []), ...values] : values[0];
  }
  return { value, unused };
}

/** Without what the chosen branch of a type (a volume's backend) has no place for. */
function dropForeign(
  index: SchemaIndex,
  { type, begun, wanted }: { type: string; begun: Value; wanted: Value },
): { value: Value; foreign: string[] } {
  const value = { ...begun, ...wanted };
  const root = index.root(type);
  const branch = root === undefined || type === 'profiles' ? undefined : index.branchFor(root, value);
  const properties = branch?.['properties'];
  if (!isRecord(properties)) return { value, foreign: [] };
  const foreign = Object.keys(value).filter((name) => !Object.hasOwn(properties, name));
  return {
    value: Object.fromEntries(Object.entries(value).filter(([name]) => !foreign.includes(name))),
    foreign: foreign.filter((name) => name in wanted),
  };
}

interface Writing {
  readonly type: string;
  readonly inside: readonly string[];
  readonly value: Value;
  readonly examples: readonly string[];
}

/** The text, with what each property is for, in the words of the installed dstack. */
function write(index: SchemaIndex, { type, inside, value, examples }: Writing): string {
  const document = new Document(inside.length > 0 ? { profiles: [value] } : value, { version: '1.1' });
  document.commentBefore = ` A ${type} for dstack ${index.version}. All properties: ${referenceLink(type, [])}`;
  const explain = (map: unknown, path: readonly string[]): void => {
    if (!isMap(map)) return;
    for (const { key, value: inner } of map.items) {
      if (!isScalar(key) || key.value === 'type' || key.value === 'name') continue;
      const name = String(key.value);
      const place = index.find(type, [...inside, ...path, name]);
      const about = place === undefined ? '' : descriptionOf(place, true);
      const example = examples.includes(name) ? 'An example: put your own.' : '';
      const words = [about === '' ? '' : `${about}.`, example].filter(Boolean).join(' ');
      if (words !== '') key.commentBefore = ` ${words}`;
      explain(inner, [...path, name]);
    }
  };
  explain(inside.length > 0 ? document.getIn(['profiles', 0]) : document.contents, []);
  return document.toString({ lineWidth: 0 });
}
