import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { checkName } from '../../../src/dstack/argv/command-rules.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigurationService } from '../../support/make-configuration-service.ts';
import type { TestConfigurationService } from '../../support/make-configuration-service.ts';

let home: string;
let runner: WarmRunner;
let service: TestConfigurationService;
const check = (text: string, shownPath = 'x.dstack.yml') => service.check({ text, shownPath });

beforeAll(async () => {
  home = await realpath(await mkdtemp(path.join(tmpdir(), 'dstack-mcp-check-')));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '', SET_VARIABLE: 'x' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  service = makeConfigurationService({ home, introspection: runner.introspection, env });
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true, force: true });
});

describe('a verdict', () => {
  test('reports a misspelled property at its line, with dstack’s message and all other problems', async () => {
    const text = 'type: task\nname: xy\ncomands: [a]\n';
    const { transcript, problems } = await check(text);
    // That there is no `commands` is a consequence.
    expect(problems.map(({ path: place }) => place)).toEqual(['comands']);
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

  test('says where a property belongs that is one of `resources`', async () => {
    const { problems } = await check('type: task\ncommands: [a]\ngpu: H100\nwhatever: 1\n');
    expect(problems.map(({ fix }) => fix)).toEqual([
      "`gpu` isn't a property of a task. Write it as `resources.gpu`.",
      expect.stringMatching(
        /^`whatever` isn't a property of a task\. Its properties: .*\bspot_policy\b.*\bmax_price\b/,
      ),
    ]);
  });

  test.for([
    ['commands: [off]', 'commands.0', 'Quote it: `- "off"`. Without quotes, YAML reads off as false.'],
    [
      'commands: [a]\nshell: 1_0',
      'shell',
      'Quote it: `shell: "1_0"`. Without quotes, YAML reads 1_0 as the number 10.',
    ],
  ] as const)('of %s says what YAML makes of it', async ([lines, property, fix]) => {
    const { problems } = await check(`type: task\n${lines}\n`);
    expect(problems.find(({ path: place }) => place === property)?.fix).toBe(fix);
  });

  test('takes python: 3.10 as dstack does, also next to a problem, and advises to quote it', async () => {
    const { problems, advice } = await check('type: task\nname: train\npython: 3.10\nmax_duraton: 2h\ncommands: [a]\n');
    expect(problems.map(({ path: place }) => place)).toEqual(['max_duraton']);
    expect(advice).toMatchObject([{ id: 'unquoted-version', line: 3 }]);
  });

  test('does not advise to add a property whose name is misspelled', async () => {
    const { advice } = await check('type: fleet\nname: pool\nnodes: 0..2\nidle_duraton: 10m\n');
    expect(advice).toEqual([]);
  });

  test.for([
    ['My_Run', true],
    ['a', true],
    ['1st', true],
    [`a${'b'.repeat(41)}`, true],
    ['train-1', false],
    [`a${'b'.repeat(40)}`, false],
  ] as const)('rejects a name that dstack’s server would reject when it is planned: %s', async ([name, isWrong]) => {
    const { verdict, problems } = await check(`type: task\nname: ${name}\ncommands: [a]\n`);
    expect([verdict, problems.map(({ path: place }) => place)]).toEqual(
      isWrong ? ['invalid', ['name']] : ['valid', []],
    );
    // The rule of the names that a call may have.
    const isAccepted = (() => {
      try {
        return checkName(name) === name;
      } catch {
        return false;
      }
    })();
    expect(isAccepted).toBe(!isWrong);
  });

  test('reports the name together with the other problems', async () => {
    const { problems, transcript } = await check('type: task\nname: My_Run\nnodes: 0\ncommands: [a]\n');
    expect(problems.map(({ path: place, position }) => [place, position.line])).toEqual([
      ['name', 2],
      ['nodes', 3],
    ]);
    expect(transcript.stdout).toContain(
      "fix: Correct `name`: Resource name should match regex '^[a-z][a-z0-9-]{1,40}$'.",
    );
  });

  test("lists only the variables that aren't set", async () => {
    const text = 'type: task\ncommands: [a]\nenv: [SET_VARIABLE, MISSING_ONE, WITH=value]\n';
    expect((await check(text)).unsetVariables).toEqual(['MISSING_ONE']);
  });

  test.for([
    ['10 MB', `type: task\nx: ${'a'.repeat(10_000_000)}`, /too large/],
    ['binary', 'type: task\0', /binary/],
    ['brackets that never close', '['.repeat(100_000), /nested/],
    ['nested lists', `x: ${'['.repeat(70)}${']'.repeat(70)}`, /nested/],
    ['deeply nested lists', `x: ${'- '.repeat(50_000)}a`, /nested/],
    ['an alias bomb', bomb(), /alias/i],
    ['deep indentation', Array.from({ length: 70 }, (_, at) => `${' '.repeat(at)}a:`).join('\n'), /nested/],
  ] as const)('is rejected for %s before dstack sees it', async ([, text, why]) => {
    const asked = vi.fn<typeof runner.introspection.validate>();
    const watched = makeConfigurationService({ home, introspection: { ...runner.introspection, validate: asked } });
    await expect(watched.check({ text, shownPath: 'x.dstack.yml' })).rejects.toThrow(why);
    expect(asked).not.toHaveBeenCalled();
  });
});

test('brackets in the strings of a script are not nesting', async () => {
  const lines = Array.from({ length: 70 }, () => '    printf "\\033[1m"');
  const text = `type: task\ncommands:\n  - |\n${lines.join('\n')}\n`;
  expect((await check(text)).verdict).toBe('valid');
});

describe('profiles', () => {
  const GOOD = 'profiles:\n  - name: cheap\n    max_price: 2\n    default: true\n';

  test('are validated by dstack’s parser for profiles, from their file and as a text', async () => {
    await mkdir(path.join(home, '.dstack'));
    await writeFile(path.join(home, '.dstack/profiles.yml'), GOOD);
    const { text, folder } = await service.read('.dstack/profiles.yml');
    expect([text, folder]).toEqual([GOOD, path.join(home, '.dstack')]);
    expect(await check(text, '.dstack/profiles.yml')).toMatchObject({ verdict: 'valid', problems: [], advice: [] });
    // As a configuration it would have no type.
    expect((await check(`type: task\n${GOOD}`)).verdict).toBe('invalid');
  });

  test('report each problem at its line, with the intended property', async () => {
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

  test("aren't read from another folder or name", async () => {
    await writeFile(path.join(home, 'profiles.yml'), GOOD);
    await expect(service.read('profiles.yml')).rejects.toMatchObject({ code: 'not-a-configuration' });
  });
});

describe('the reference', () => {
  test('of each type fits in 2,000 tokens', async () => {
    for (const name of await service.types()) {
      const { stdout } = await service.describe(name);
      expect(stdout.length, name).toBeLessThan(8_000);
      const example = /Example:\n([\s\S]*?)\n\nReference/.exec(stdout)?.[1] ?? '';
      expect((await check(example, name)).verdict, name).toBe('valid');
    }
    await expect(service.describe('task.comands')).rejects.toThrow(/no type or property/);
  });

  test('lists every type with its properties if no name is passed', async () => {
    const { stdout } = await service.describe(undefined);
    for (const name of await service.types()) expect(stdout).toMatch(new RegExp(`^- ${name}: \\w+`, 'm'));
    expect(stdout.length).toBeLessThan(8_000);
  });

  test('has a complete schema of each type that fits in one result', async () => {
    for (const name of await service.types()) {
      const { stdout } = await service.schema(name);
      expect(stdout.length, name).toBeLessThan(39_000);
      const references = [...stdout.matchAll(/"\$ref":"#\/\$defs\/(\w+)"/g)].map(([, one]) => one ?? '');
      const { $defs } = JSON.parse(stdout);
      expect(Object.keys($defs), name).toEqual(expect.arrayContaining(references));
    }
    await expect(service.schema('tsk')).rejects.toThrow(/no type or property "tsk"/);
  });
});

function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, at) => `a${at + 1}: &a${at + 1} [${`*a${at}, `.repeat(9)}]`);
  return ['a0: &a0 [x]', ...levels, 'type: task'].join('\n');
}
