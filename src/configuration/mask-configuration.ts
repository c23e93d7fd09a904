import { isAlias, isMap, isNode, isScalar, isSeq } from 'yaml';
import type { Document } from 'yaml';
import { maskScalar, maskText, secretPlace } from '../render/mask-secrets.ts';
import type { SecretPlace } from '../render/mask-secrets.ts';
import { parseText } from './configuration-text.ts';

/** A configuration for showing. */
export interface MaskedConfiguration {
  /** The text with literal secrets masked. Every line keeps its number. */
  readonly text: string;
  /** The places that are masked, such as `env.HF_TOKEN`. */
  readonly places: readonly string[];
  /** The masked values that are secret by their name, to mask them in other texts, too. */
  readonly secrets: readonly string[];
}

interface Found {
  readonly from: number;
  readonly to: number;
  readonly by: string;
}

/** A reference to a secret of the project isn't a secret. */
const REFERENCE = /^\$\{\{[\w\s.-]{1,200}\}\}$/;

/** Masks the literal values of `env`, `registry_auth` and of every property that is a secret by its name. */
export function maskConfiguration(text: string): MaskedConfiguration {
  const document = parseQuietly(text);
  const found = new Map<number, Found>();
  const places: string[] = [];
  const secrets: string[] = [];
  const visited = new Set<unknown>();
  const walk = (node: unknown, path: readonly string[], place: SecretPlace | undefined): void => {
    if (!isNode(node)) return undefined;
    if (place !== undefined) {
      // A node can be reached often, through aliases, but has to be masked once.
      if (visited.has(node)) return undefined;
      visited.add(node);
      if (isAlias(node) && document !== undefined) return walk(node.resolve(document), path, place);
    }
    if (isMap(node)) {
      for (const { key, value } of node.items) {
        const name = isScalar(key) ? String(key.value) : '';
        walk(value, [...path, name], place ?? secretPlace(name));
      }
    } else if (isSeq(node)) {
      for (const [at, item] of node.items.entries()) walk(item, [...path, String(at)], place);
    } else if (place !== undefined && isScalar(node) && node.range && node.value !== null) {
      mask(typeof node.value === 'string' ? node.value : (node.source ?? ''), { range: node.range, path, place });
    }
    return undefined;
  };
  const mask = (
    value: string,
    { range: [from, to], path, place }: { range: readonly number[]; path: readonly string[]; place: SecretPlace },
  ): void => {
    const isListed = /^\d+$/.test(path.at(-1) ?? '');
    const by = maskScalar(value, place, isListed);
    if (by === value || REFERENCE.test(value) || from === undefined || to === undefined || found.has(from)) return;
    const breaks = text.slice(from, to).match(/\n/g)?.length ?? 0;
    found.set(from, { from, to, by: `"${by}"${'\n'.repeat(breaks)}` });
    places.push(isListed ? [...path.slice(0, -1), value.split('=', 1)[0]].join('.') : path.join('.'));
    const name = isListed ? value.split('=', 1)[0] : path.at(-1);
    if (path.includes('registry_auth') ? name === 'password' : secretPlace(name?.toLowerCase()) === 'secret')
      secrets.push(isListed ? value.slice(value.indexOf('=') + 1) : value);
  };
  walk(document?.contents, [], undefined);
  const masked = maskText(replaceAll(text, [...found.values()]));
  return { text: document === undefined || document.errors.length > 0 ? maskLines(masked) : masked, places, secrets };
}

/** Returns undefined for a text beyond the limits: it is masked by line. */
function parseQuietly(text: string): Document.Parsed | undefined {
  try {
    return parseText(text, 'text').document;
  } catch {
    return undefined;
  }
}

function replaceAll(text: string, found: readonly Found[]): string {
  let kept = 0;
  const pieces: string[] = [];
  for (const { from, to, by } of found.toSorted((a, b) => a.from - b.from)) {
    pieces.push(text.slice(kept, from), by);
    kept = to;
  }
  return [...pieces, text.slice(kept)].join('');
}

const ASSIGNMENT = /^([ \t]{0,200}(?:- {1,10})?["']?([\w.-]{1,200})["']? {0,10}[:=])[^\n]+$/gm;

/** Masks by line what isn't valid YAML: properties that are secret by their name, and variables. */
const maskLines = (text: string): string =>
  text.replace(ASSIGNMENT, (line, start: string, name: string) =>
    secretPlace(name) === 'secret' || /^[A-Z][A-Z0-9_]*$/.test(name) ? `${start} "[masked]"` : line,
  );
