import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSchemaIndex } from '../../../src/configuration/schema-index.ts';
import type { ConfigurationService } from '../../../src/configuration/configuration-service.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigPower } from '../../support/make-configuration-service.ts';
import { openPlainValidator } from '../../support/open-plain-validator.ts';
import type { PlainValidator } from '../../support/open-plain-validator.ts';
import { readCorpus } from '../../support/read-corpus.ts';
import type { CorpusCase } from '../../support/read-corpus.ts';

let version: string;
let home: string;
let warm: WarmRunner;
let plain: WarmRunner;
let validator: PlainValidator;
let powers: Readonly<Record<'warm' | 'at once' | 'plain', ConfigurationService>>;
let corpus: readonly CorpusCase[];

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-corpus-'));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '' };
  const executable = { path: installedDstack, interpreter: installedPython, tried: [] };
  warm = makeWarmRunner({ executable, env });
  plain = makeWarmRunner({ executable, env, enabled: false });
  validator = openPlainValidator(env);
  const powerOf = (introspection: WarmRunner['introspection']) => makeConfigPower({ home, introspection, env });
  powers = {
    warm: powerOf(warm.introspection),
    // The worker's code in one plain process, so that all cases can be asked; the plain path itself takes a process for each.
    'at once': powerOf({ ...plain.introspection, validate: validator.validate }),
    plain: powerOf(plain.introspection),
  };
  const schemas = await warm.introspection.schemas();
  if (schemas === undefined) throw new Error('no schema');
  version = schemas.version;
  corpus = readCorpus(version);
});
afterAll(async () => {
  await Promise.all([warm.close(), plain.close(), validator.close()]);
  await rm(home, { recursive: true, force: true });
});

/** The same reading and parsing as `dstack apply` does for `-f`, in one process for all. */
const APPLY = `
import json, sys, yaml
from dstack._internal.core.models.configurations import parse_apply_configuration
verdicts = []
for text in json.load(sys.stdin):
    try:
        parse_apply_configuration(yaml.safe_load(text))
        verdicts.append(True)
    except Exception:
        verdicts.append(False)
json.dump(verdicts, sys.stdout)
`;

/** The titles of cases that aren't judged as they state, or not with a place and a mend for every problem. */
async function judgeAll(power: ConfigurationService, cases: readonly CorpusCase[]): Promise<string[]> {
  const wrong: string[] = [];
  for (const { title, text, valid } of cases) {
    const { verdict, problems } = await power.check({ text, shownPath: 'x.dstack.yml' });
    const lines = Math.max(1, text.split('\n').length);
    const placed = problems.every(
      ({ position, fix }) => position.line >= 1 && position.line <= lines && position.column >= 1 && fix.length > 10,
    );
    const asStated = (verdict === 'valid') === valid && problems.length > 0 === !valid;
    if (!placed || !asStated) wrong.push(`${title}: ${verdict}, ${JSON.stringify(problems)}`);
  }
  return wrong;
}

describe('the corpus of configurations', () => {
  test('is large, and each property of each type occurs in a valid one', async () => {
    expect(corpus.filter(({ valid }) => valid).length).toBeGreaterThanOrEqual(150);
    expect(corpus.filter(({ valid }) => !valid).length).toBeGreaterThanOrEqual(150);
    const schemas = await warm.introspection.schemas();
    if (schemas === undefined) throw new Error('no schema');
    const index = createSchemaIndex(schemas);
    const absent = index.types.flatMap((type) => {
      const texts = corpus.filter((one) => one.valid && one.type === type).map(({ text }) => text);
      const names = [...index.properties(index.root(type) ?? {}).keys()];
      return names
        .filter((name) => !texts.some((text) => new RegExp(`^${name}:`, 'm').test(text)))
        .map((name) => `${type}.${name}`);
    });
    // dstack's schema has them, and its parser refuses them (entrypoint) or they are for its own use.
    expect(absent).toEqual(['dev-environment.entrypoint']);
  });

  test("gets from `dstack apply`'s own reading the verdict that it states", async () => {
    const { stdout } = await execa(installedPython, ['-B', '-c', APPLY], {
      input: JSON.stringify(corpus.map(({ text }) => text)),
      env: { HOME: home },
    });
    const verdicts: unknown[] = JSON.parse(stdout);
    expect(corpus.filter(({ valid }, at) => verdicts[at] !== valid).map(({ title }) => title)).toEqual([]);
  });

  test.for(['warm', 'at once'] as const)(
    'gets that verdict, placed and with a mend, from dstack asked %s',
    async (kind) => {
      expect(await judgeAll(powers[kind], corpus)).toEqual([]);
    },
  );

  test('gets it where the worker is off, from a process each, for every 47th case', async () => {
    expect(
      await judgeAll(
        powers.plain,
        corpus.filter((_case, at) => at % 47 === 0),
      ),
    ).toEqual([]);
  });

  test('names the property that was meant, for each misspelling of one', async () => {
    const misspelt = corpus.filter(({ title, valid }) => !valid && title.includes(': misspelt '));
    expect(misspelt.length).toBeGreaterThan(100);
    const wrong: string[] = [];
    for (const { title, text } of misspelt) {
      const meant = title.split('misspelt ')[1] ?? '';
      const { problems } = await powers.warm.check({ text, shownPath: 'x.dstack.yml' });
      if (!problems.some(({ fix }) => fix.includes(`Did you mean \`${meant}\`?`))) wrong.push(title);
    }
    expect(wrong).toEqual([]);
  });
});
