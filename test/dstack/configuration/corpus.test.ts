import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SchemaIndex } from '../../../src/configuration/schema-index.ts';
import type { ConfigurationService } from '../../../src/configuration/configuration-service.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigurationService } from '../../support/make-configuration-service.ts';
import { openPlainValidator } from '../../support/open-plain-validator.ts';
import type { PlainValidator } from '../../support/open-plain-validator.ts';
import { readCorpus } from '../../support/read-corpus.ts';
import type { CorpusCase } from '../../support/read-corpus.ts';
import { isNightly, sample } from '../../support/effort.ts';

let version: string;
let home: string;
let warm: WarmRunner;
let plain: WarmRunner;
let validator: PlainValidator;
let services: Readonly<Record<'warm' | 'single-process' | 'plain', ConfigurationService>>;
let corpus: readonly CorpusCase[];

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-corpus-'));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '' };
  const executable = { path: installedDstack, interpreter: installedPython, tried: [] };
  warm = makeWarmRunner({ executable, env });
  plain = makeWarmRunner({ executable, env, mode: 'off' });
  validator = openPlainValidator(env);
  const serviceFor = (introspection: WarmRunner['introspection']) =>
    makeConfigurationService({ home, introspection, env });
  services = {
    warm: serviceFor(warm.introspection),
    // The worker's code in one plain process, so that all cases can be checked; the plain path itself starts a process for each.
    'single-process': serviceFor({ ...plain.introspection, validate: validator.validate }),
    plain: serviceFor(plain.introspection),
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

/** Reads and parses files as `dstack apply -f` does, in one process for all. */
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

/** Returns the titles of cases whose verdict differs, or that have a problem without a position or fix. */
async function checkAll(service: ConfigurationService, cases: readonly CorpusCase[]): Promise<string[]> {
  const failed: string[] = [];
  for (const { title, text, valid } of cases) {
    const { verdict, problems } = await service.check({ text, shownPath: 'x.dstack.yml' });
    const lines = Math.max(1, text.split('\n').length);
    const placed = problems.every(
      ({ position, fix }) => position.line >= 1 && position.line <= lines && position.column >= 1 && fix.length > 10,
    );
    const asStated = (verdict === 'valid') === valid && problems.length > 0 === !valid;
    if (!placed || !asStated) failed.push(`${title}: ${verdict}, ${JSON.stringify(problems)}`);
  }
  return failed;
}

describe('the corpus of configurations', () => {
  test('is large, and has each property of each type in a valid case', async () => {
    expect(corpus.filter(({ valid }) => valid).length).toBeGreaterThanOrEqual(150);
    expect(corpus.filter(({ valid }) => !valid).length).toBeGreaterThanOrEqual(150);
    const schemas = await warm.introspection.schemas();
    if (schemas === undefined) throw new Error('no schema');
    const index = new SchemaIndex(schemas);
    const absent = index.types.flatMap((type) => {
      const texts = corpus.filter((one) => one.valid && one.type === type).map(({ text }) => text);
      const names = [...index.properties(index.root(type) ?? {}).keys()];
      return names
        .filter((name) => !texts.some((text) => new RegExp(`^${name}:`, 'm').test(text)))
        .map((name) => `${type}.${name}`);
    });
    // dstack's schema has it, but its parser rejects it.
    expect(absent).toEqual(['dev-environment.entrypoint']);
  });

  test('has the verdict of the code that `dstack apply` runs', async () => {
    const { stdout } = await execa(installedPython, ['-B', '-c', APPLY], {
      input: JSON.stringify(corpus.map(({ text }) => text)),
      env: { HOME: home },
    });
    const verdicts: unknown[] = JSON.parse(stdout);
    expect(corpus.filter(({ valid }, at) => verdicts[at] !== valid).map(({ title }) => title)).toEqual([]);
  });

  test.for(['warm', 'single-process'] as const)(
    'has the same verdict, with positions and fixes, from the %s parser',
    async (kind) => {
      expect(await checkAll(services[kind], kind === 'warm' ? sample(corpus, 40) : corpus)).toEqual([]);
    },
  );

  test('has the same verdict with the worker off, for some of the cases', async () => {
    const every = isNightly ? 47 : 150;
    const cases = corpus.filter((_case, at) => at % every === 0);
    expect(await checkAll(services.plain, cases)).toEqual([]);
  });

  test('suggests the intended property for each misspelled one', async () => {
    const misspelled = corpus.filter(({ title, valid }) => !valid && title.includes(': misspelled '));
    expect(misspelled.length).toBeGreaterThan(100);
    const failed: string[] = [];
    for (const { title, text } of sample(misspelled, 20)) {
      const meant = title.split('misspelled ')[1] ?? '';
      const { problems } = await services.warm.check({ text, shownPath: 'x.dstack.yml' });
      if (!problems.some(({ fix }) => fix.includes(`Did you mean \`${meant}\`?`))) failed.push(title);
    }
    expect(failed).toEqual([]);
  });
});
