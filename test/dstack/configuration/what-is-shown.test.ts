import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigPower } from '../../support/make-configuration-service.ts';
import type { TestPower } from '../../support/make-configuration-service.ts';

let home: string;
let runner: WarmRunner;
let power: TestPower;
const check = (text: string, shownPath = 'x.dstack.yml') => power.check({ text, shownPath });

beforeAll(async () => {
  home = await realpath(await mkdtemp(path.join(tmpdir(), 'dstack-mcp-shown-')));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '', SET_VARIABLE: 'x' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  power = makeConfigPower({ home, introspection: runner.introspection, env });
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true, force: true });
});

describe('a verdict', () => {
  test('tells a misspelt property at its line, beside what dstack says, with every other problem', async () => {
    const text = 'type: task\nname: x\ncomands: [a]\n';
    const { transcript } = await check(text);
    expect(transcript.stdout).toContain('x.dstack.yml:3:1: error in comands\n3 | comands: [a]\n  | ^^^^^^^');
    expect(transcript.stdout).toContain('Did you mean `commands`?');
    expect(transcript.stdout).toContain('Either `commands` or `image` must be set');
    expect(transcript.stdout).toContain('https://dstack.ai/docs/reference/dstack.yml/task#commands');
    const more = await check(`${text}nodes: 0\nresorces: {}\n`);
    expect(more.problems.map(({ path: place, position }) => [place, position.line, position.column])).toEqual([
      ['comands', 3, 1],
      ['nodes', 4, 8],
      ['resorces', 5, 1],
    ]);
  });

  test('lists variables that nobody sets, and not those that are set', async () => {
    const text = 'type: task\ncommands: [a]\nenv: [SET_VARIABLE, MISSING_ONE, WITH=value]\n';
    expect((await check(text)).unsetVariables).toEqual(['MISSING_ONE']);
  });

  test.for([
    ['10 MB', `type: task\nx: ${'a'.repeat(10_000_000)}`, /too large/],
    ['binary', 'type: task\0', /binary/],
    ['brackets without end', '['.repeat(100_000), /nested/],
    ['lists in lists', `x: ${'- '.repeat(50_000)}a`, /nested/],
    ['a bomb of aliases', bomb(), /alias/i],
    ['an indentation without end', Array.from({ length: 70 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'), /nested/],
  ] as const)('is refused for %s before dstack sees it', async ([, text, why]) => {
    const asked = vi.fn<typeof runner.introspection.validate>();
    const watched = makeConfigPower({ home, introspection: { ...runner.introspection, validate: asked } });
    await expect(watched.check({ text, shownPath: 'x.dstack.yml' })).rejects.toThrow(why);
    expect(asked).not.toHaveBeenCalled();
  });
});

describe('profiles', () => {
  const GOOD = 'profiles:\n  - name: cheap\n    max_price: 2\n    default: true\n';

  test('are judged by dstack’s parser for profiles, from their file and as a text', async () => {
    await mkdir(path.join(home, '.dstack'));
    await writeFile(path.join(home, '.dstack/profiles.yml'), GOOD);
    const { text, folder } = await power.read('.dstack/profiles.yml');
    expect([text, folder]).toEqual([GOOD, path.join(home, '.dstack')]);
    expect(await check(text, '.dstack/profiles.yml')).toMatchObject({ verdict: 'valid', problems: [], advice: [] });
    // As a configuration it would have no type.
    expect((await check(`type: task\n${GOOD}`)).verdict).toBe('invalid');
  });

  test('get each problem at its line, with the property that was meant', async () => {
    const { verdict, problems } = await check(
      'profiles:\n  - name: cheap\n    max_prise: 2\n  - name: slow\n    spot_policy: never\n',
    );
    expect(verdict).toBe('invalid');
    expect(problems.map(({ path: place, position }) => [place, position.line])).toEqual([
      ['profiles.0.max_prise', 3],
      ['profiles.1.spot_policy', 5],
    ]);
    expect(problems[0]?.fix).toContain('Did you mean `max_price`?');
    expect(problems[0]?.reference).toContain('profiles.yml');
  });

  test('in another folder, or by another name, are not read', async () => {
    await writeFile(path.join(home, 'profiles.yml'), GOOD);
    await expect(power.read('profiles.yml')).rejects.toMatchObject({ code: 'outside-workspace' });
  });
});

describe('the reference', () => {
  test('of each type fits in 2,000 tokens, and its example is valid', async () => {
    for (const name of await power.types()) {
      const { stdout } = await power.describe(name);
      expect(stdout.length, name).toBeLessThan(8_000);
      const example = /Example:\n([\s\S]*?)\n\nReference/.exec(stdout)?.[1] ?? '';
      expect((await check(example, name)).verdict, name).toBe('valid');
    }
    await expect(power.describe('task.comands')).rejects.toThrow(/no type or property/);
  });

  test('without a name lists every type that dstack knows, with its properties', async () => {
    const { stdout } = await power.describe(undefined);
    for (const name of await power.types()) expect(stdout).toMatch(new RegExp(`^- ${name}: \\w+`, 'm'));
    expect(stdout.length).toBeLessThan(8_000);
  });

  test('has a schema of each type that is whole, and fits in one answer', async () => {
    for (const name of await power.types()) {
      const { stdout } = await power.schema(name);
      expect(stdout.length, name).toBeLessThan(39_000);
      const references = [...stdout.matchAll(/"\$ref":"#\/\$defs\/(\w+)"/g)].map(([, one]) => one ?? '');
      const { $defs } = JSON.parse(stdout);
      expect(Object.keys($defs), name).toEqual(expect.arrayContaining(references));
    }
    await expect(power.schema('tsk')).rejects.toThrow(/no type or property "tsk"/);
  });
});

function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at}, `.repeat(9)}]`);
  return ['a0: &a0 [x]', ...levels, 'type: task'].join('\n');
}
