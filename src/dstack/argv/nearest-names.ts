import { distance } from 'fastest-levenshtein';

/** Words that people and models use, with dstack's own. */
const MEANT: Readonly<Record<string, string>> = {
  cost: 'price',
  budget: 'price',
  spend: 'price',
  time: 'duration',
  timeout: 'duration',
  runtime: 'duration',
  zone: 'region',
  location: 'region',
  provider: 'backend',
  cloud: 'backend',
  ram: 'memory',
  mem: 'memory',
  storage: 'disk',
  gpus: 'gpu',
  accelerator: 'gpu',
  cpus: 'cpu',
  preemptible: 'spot',
  interruptible: 'spot',
  environment: 'env',
  cluster: 'fleet',
};

/** Returns a name with each of its words replaced by dstack's. */
const meantBy = (name: string): string =>
  name.replace(/[a-z]+/g, (word) => (Object.hasOwn(MEANT, word) ? (MEANT[word] ?? word) : word));

const MAX_NAMES = 3;

/** Returns the documented names that a mistaken one most likely means, nearest first; none if nothing is near. */
export function nearestNames(wanted: string, documented: readonly string[]): string[] {
  const typed = wanted.toLowerCase().slice(0, 80);
  const meant = meantBy(typed);
  if (meant !== typed && documented.includes(meant)) return [meant];
  const word = meant;
  const bare = word.replace(/^-+/, '');
  const parts = bare.split(/[-_]/);
  return documented
    .map((name) => ({ name, edits: distance(word, name) }))
    .filter(({ name, edits }) => {
      const sharesPart = bare.length >= 3 && parts.some((part) => name.replace(/^-+/, '').split('-').includes(part));
      return edits <= Math.max(2, Math.floor(name.length / 3)) || sharesPart || name.startsWith(word);
    })
    .sort((one, other) => one.edits - other.edits)
    .slice(0, MAX_NAMES)
    .map(({ name }) => name);
}
