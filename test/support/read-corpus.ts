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
  /** The first dstack in which the verdict holds; any, unless given. */
  readonly since?: string | undefined;
  readonly text: string;
}

const folder = fixture('configurations');

/** The cases that hold for a version of dstack: small configurations by type, each with the verdict that its parser gave. */
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
