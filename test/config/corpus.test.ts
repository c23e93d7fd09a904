import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createSchemaIndex } from '../../src/config/schema-index.ts';
import { createConfigPower } from '../../src/powers/config-power.ts';
import type { ConfigPower } from '../../src/powers/config-power.ts';
import type { AuditEntry } from '../../src/safety/audit-entry.ts';
import { createWorkspace } from '../../src/safety/workspace.ts';
import type { WarmRunner } from '../../src/cli/warm-runner.ts';
import { installedDstack, installedPython } from '../cli/installed-dstack.ts';
import { makeWarmRunner } from '../cli/warm-test-runner.ts';
import { readCorpus } from './read-corpus.ts';

const corpus = readCorpus();
/** A process each: with the worker off a part of the cases is asked. */
const plainSample = corpus.filter((_case, at) => at % 47 === 0);
const hasSince = (since: string | undefined, version: string): boolean =>
  since === undefined || version.localeCompare(since, 'en', { numeric: true }) >= 0;

let home: string;
const audited: AuditEntry[] = [];
let warm: WarmRunner;
let plain: WarmRunner;
let powers: Readonly<Record<'warm' | 'plain', ConfigPower>>;

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-corpus-'));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '', SET_VARIABLE: 'x' };
  const executable = { path: installedDstack, interpreter: installedPython, tried: [] };
  warm = makeWarmRunner({ executable, env });
  plain = makeWarmRunner({ executable, env, enabled: false });
  const workspace = createWorkspace({ folders: [home], home });
  const powerOf = ({ introspection }: WarmRunner) =>
    createConfigPower({
      workspace,
      audit: { write: (entry) => audited.push(entry) },
      cli: () => Promise.resolve({ introspection, env }),
    });
  powers = { warm: powerOf(warm), plain: powerOf(plain) };
});
afterAll(async () => {
  await Promise.all([warm.close(), plain.close()]);
  await rm(home, { recursive: true, force: true });
});

/** The same reading and parsing as `dstack apply` does for `-f`, in one process for all. */
const APPLY = `
import json, sys, yaml
from dstack._internal.core.errors import ConfigurationError
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
    const version = (await warm.introspection.schemas())?.version ?? '';
    const { stdout } = await execa(installedPython, ['-B', '-c', APPLY], {
      input: JSON.stringify(corpus.map(({ text }) => text)),
      env: { HOME: home },
    });
    const verdicts: unknown[] = JSON.parse(stdout);
    const wrong = corpus.filter(({ valid, since }, at) => hasSince(since, version) && verdicts[at] !== valid);
    expect(wrong.map(({ title }) => title)).toEqual([]);
  });

  test.for([
    ['warm', corpus],
    ['plain', plainSample],
  ] as const)(
    'gets that verdict from a %s dstack, with a place and a mend for every problem',
    async ([kind, cases]) => {
      const version = (await warm.introspection.schemas())?.version ?? '';
      const wrong: string[] = [];
      for (const { title, text, valid, since } of cases) {
        if (!hasSince(since, version)) continue;
        const { verdict, problems } = await powers[kind].check(text, 'x.dstack.yml');
        const lines = Math.max(1, text.split('\n').length);
        const placed = problems.every(
          ({ position, mend }) =>
            position.line >= 1 && position.line <= lines && position.column >= 1 && mend.length > 10,
        );
        const asStated = (verdict === 'valid') === valid && problems.length > 0 === !valid;
        if (!placed || !asStated) wrong.push(`${title}: ${verdict}, ${JSON.stringify(problems)}`);
      }
      expect(wrong).toEqual([]);
    },
  );

  test('names the property that was meant, for each misspelling of one', async () => {
    const misspelt = corpus.filter(({ title, valid }) => !valid && title.includes(': misspelt '));
    expect(misspelt.length).toBeGreaterThan(100);
    const version = (await warm.introspection.schemas())?.version ?? '';
    const wrong: string[] = [];
    for (const { title, text, since } of misspelt) {
      if (!hasSince(since, version)) continue;
      const meant = title.split('misspelt ')[1] ?? '';
      const { problems } = await powers.warm.check(text, 'x.dstack.yml');
      if (!problems.some(({ mend }) => mend.includes(`Did you mean \`${meant}\`?`))) wrong.push(title);
    }
    expect(wrong).toEqual([]);
  });
});

describe('what is shown', () => {
  test('a misspelt property is told at its line, beside what dstack says, with every other problem', async () => {
    const text = 'type: task\nname: x\ncomands: [a]\n';
    const { transcript } = await powers.warm.check(text, 'x.dstack.yml');
    expect(transcript.stdout).toContain('x.dstack.yml:3:1: error in comands\n3 | comands: [a]\n  | ^^^^^^^');
    expect(transcript.stdout).toContain('Did you mean `commands`?');
    expect(transcript.stdout).toContain('Either `commands` or `image` must be set');
    expect(transcript.stdout).toContain('https://dstack.ai/docs/reference/dstack.yml/task#commands');
    const more = await powers.warm.check(`${text}nodes: 0\nresorces: {}\n`, 'x.dstack.yml');
    expect(more.problems.map(({ path: place, position }) => [place, position.line, position.column])).toEqual([
      ['comands', 3, 1],
      ['nodes', 4, 8],
      ['resorces', 5, 1],
    ]);
  });

  test('variables that nobody sets are listed, those that are set are not', async () => {
    const text = 'type: task\ncommands: [a]\nenv: [SET_VARIABLE, MISSING_ONE, WITH=value]\n';
    expect((await powers.warm.check(text, 'text')).unsetVariables).toEqual(['MISSING_ONE']);
  });

  test.for([
    ['10 MB', `type: task\nx: ${'a'.repeat(10_000_000)}`, /too large/],
    ['binary', 'type: task\0', /binary/],
    ['brackets without end', '['.repeat(100_000), /nested/],
    ['lists in lists', `x: ${'- '.repeat(50_000)}a`, /nested/],
    ['a bomb of aliases', bomb(), /alias/i],
  ] as const)('%s is refused before dstack sees it', async ([, text, why]) => {
    await expect(powers.warm.check(text, 'x.dstack.yml')).rejects.toThrow(why);
  });

  test('a description fits in 2,000 tokens, and its example is valid', async () => {
    for (const name of ['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway', 'preset', 'profiles']) {
      const { stdout } = await powers.warm.describe(name);
      expect(stdout.length, name).toBeLessThan(8_000);
      if (name === 'profiles') continue;
      const example = /Example:\n([\s\S]*?)\n\nReference/.exec(stdout)?.[1] ?? '';
      expect((await powers.warm.check(example, name)).verdict, name).toBe('valid');
    }
    await expect(powers.warm.describe('task.comands')).rejects.toThrow(/no type or property/);
  });
});

function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at}, `.repeat(9)}]`);
  return ['a0: &a0 [x]', ...levels, 'type: task'].join('\n');
}
