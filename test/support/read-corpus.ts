import { readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import * as z from 'zod';
import { fixture } from './paths.ts';

const cases = z.array(z.strictObject({ name: z.string(), since: z.string().optional(), text: z.string() }));

export interface CorpusCase {
  readonly title: string;
  readonly type: string;
  readonly valid: boolean;
  /** The first dstack version that has this verdict. Defaults to every version. */
  readonly since?: string | undefined;
  readonly text: string;
}

const folder = fixture('configurations');

/** Returns the cases for a dstack version: small configurations of each type, each with the verdict of dstack's parser. */
export function readCorpus(version: string): readonly CorpusCase[] {
  const all = readdirSync(folder).flatMap((file) => {
    const [type = '', verdict] = file.split('.');
    const listed = cases.parse(parse(readFileSync(path.join(folder, file), 'utf8')));
    return listed.map(({ name, since, text }) => ({
      title: `${type}: ${name}`,
      type,
      valid: verdict === 'valid',
      since,
      text,
    }));
  });
  return all.filter(({ since }) => since === undefined || version.localeCompare(since, 'en', { numeric: true }) >= 0);
}

/** Returns `size` cases of each type and verdict, spread over the corpus. */
export function sampleCorpus(corpus: readonly CorpusCase[], size: number): readonly CorpusCase[] {
  const kinds = new Set(corpus.map(kindOf));
  return [...kinds].flatMap((kind) => {
    const cases = corpus.filter((one) => kindOf(one) === kind);
    const every = Math.max(1, Math.floor(cases.length / size));
    return cases.filter((_case, at) => at % every === 0).slice(0, size);
  });
}

/** Returns the type and verdict of a case. */
export const kindOf = ({ type, valid }: CorpusCase): string => `${type}, ${valid ? 'valid' : 'invalid'}`;
