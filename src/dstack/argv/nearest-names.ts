import { distance } from 'fastest-levenshtein';

/** Returns the documented names that a mistaken one most likely means, nearest first; none if nothing is near. */
export function nearestNames(wanted: string, documented: readonly string[], maxNames = 3): string[] {
  const word = wanted.toLowerCase().slice(0, 80);
  const bare = word.replace(/^-+/, '');
  const parts = bare.split(/[-_]/);
  return documented
    .map((name) => ({ name, edits: distance(word, name) }))
    .filter(({ name, edits }) => {
      const sharesPart = bare.length >= 3 && parts.some((part) => name.replace(/^-+/, '').split('-').includes(part));
      return edits <= Math.max(2, Math.floor(name.length / 3)) || sharesPart || name.startsWith(word);
    })
    .sort((one, other) => one.edits - other.edits)
    .slice(0, maxNames)
    .map(({ name }) => name);
}
