import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { execa } from 'execa';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { backendNames, SchemaIndex } from '../../../src/configuration/schema-index.ts';
import { cliEnvironment } from '../../../src/dstack/run/spawn-dstack.ts';
import type { Introspection } from '../../../src/dstack/warm/introspection.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { sample } from '../../support/effort.ts';

let home: string;
let env: Record<string, string>;
let runner: WarmRunner;
let warm: Introspection;
let plain: Introspection;

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-introspection-'));
  const secret = { HOME: home, PATH: process.env['PATH'] ?? '', DSTACK_VM_BASE_IMAGE_VERSION: 'secret-0.99' };
  env = cliEnvironment(secret);
  const executable = { path: installedDstack, interpreter: installedPython, tried: [] };
  runner = makeWarmRunner({ executable, env: secret });
  warm = runner.introspection;
  plain = makeWarmRunner({ executable, env: secret, mode: 'off' }).introspection;
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true });
});

const VERDICTS: readonly (readonly [text: string, verdict: string, words: string | RegExp])[] = [
  ['type: task\ncommands: [echo hi]', 'valid', ''],
  ['type: task', 'invalid', 'Either `commands` or `image` must be set'],
  ['type: task\ncommands: [a]\nfoo: 1', 'invalid', /extra (?:inputs are|fields) not permitted/i],
  ['type: fleet\nname: pool\nnodes: 2', 'valid', ''],
  ['a: b: c', 'unreadable', 'mapping values are not allowed here'],
  ['- 1', 'invalid', ''],
  ['', 'invalid', ''],
  ['type: task\ncommands: [a]\nmax_price: 2026-99-99', 'unreadable', 'month must be in'],
];
/** A plain process imports dstack for each of them. */
const comparedWithPlain = sample(VERDICTS, 2);

describe('introspection', () => {
  test('is the same in the warm worker and in a plain process', async () => {
    const [warmHelp, plainHelp] = await Promise.all([warm.helpTexts(), plain.helpTexts()]);
    expect(runner.state()).toMatchObject({ kind: 'ready' });
    expect(warmHelp).toEqual(plainHelp);
    const [warmSchemas, plainSchemas] = await Promise.all([warm.schemas(), plain.schemas()]);
    expect(warmSchemas).toEqual(plainSchemas);
    expect(warmSchemas?.version).toBe(warmHelp?.version);
  });

  test('returns the help of every command exactly as the CLI prints it', async () => {
    const { help = {} } = (await warm.helpTexts()) ?? {};
    expect(Object.keys(help).length).toBeGreaterThan(50);
    for (const command of sample(['apply -h service', '', 'apply', 'fleet', 'run get', 'offer'], 2)) {
      const argv = command.split(' ').filter(Boolean);
      if (!command.includes('-h')) argv.push('--help');
      const bare = await execa(installedDstack, argv, { env, extendEnv: false, stripFinalNewline: false });
      expect(help[command]).toBe(bare.stdout);
    }
  });

  test('returns schemas of configurations and profiles without values of the environment', async () => {
    const schemas = await warm.schemas();
    const types = JSON.stringify(schemas?.configuration);
    for (const type of ['task', 'service', 'dev-environment', 'fleet', 'volume', 'gateway'])
      expect(types).toContain(`"${type}"`);
    expect(JSON.stringify(schemas?.profiles)).toContain('"max_price"');
    expect(schemas && backendNames(new SchemaIndex(schemas))).toEqual(
      expect.arrayContaining(['aws', 'gcp', 'kubernetes', 'remote', 'runpod']),
    );
    expect(JSON.stringify(schemas)).not.toContain('secret-0.99');
  });

  test.for(VERDICTS)("dstack's own parser finds %j %s", async (one, { expect: check }) => {
    const [text, verdict, words] = one;
    const question = { kind: 'configuration', text } as const;
    const fromWarm = await warm.validate(question);
    check(fromWarm?.verdict).toBe(verdict);
    check(fromWarm?.text).toMatch(words);
    if (comparedWithPlain.includes(one)) check(await plain.validate(question)).toEqual(fromWarm);
  });

  test('validates profiles', async () => {
    const good = await warm.validate({ kind: 'profiles', text: 'profiles: [{name: cheap, max_price: 1}]' });
    const bad = await warm.validate({ kind: 'profiles', text: 'profiles: [{name: cheap, max_prize: 1}]' });
    expect([good?.verdict, bad?.verdict]).toEqual(['valid', 'invalid']);
    expect(bad?.problems[0]?.path).toEqual(['profiles', '0', 'max_prize']);
  });

  test('is unavailable if the executable is not a Python script', async () => {
    const { introspection } = makeWarmRunner({ executable: { path: installedDstack, tried: [] } });
    expect(await introspection.schemas()).toBeUndefined();
  });

  test('is repeated once if its process is killed', async () => {
    const asked = path.join(home, 'asked');
    const ask = async (killed: number) => {
      await writeFile(asked, '');
      const interpreter = path.join(home, 'interpreter');
      const text = `#!/bin/sh\necho >> ${asked}\n[ $(wc -l < ${asked}) -le ${killed} ] && kill -KILL $$\nexec ${installedPython} "$@"\n`;
      await writeFile(interpreter, text, { mode: 0o700 });
      const executable = { path: installedDstack, interpreter, tried: [] };
      const { introspection } = makeWarmRunner({ executable, env, mode: 'off' });
      const verdict = await introspection.validate({ kind: 'configuration', text: 'type: task\ncommands: [a]\n' });
      return { verdict: verdict?.verdict, times: (await readFile(asked, 'utf8')).length };
    };
    expect(await ask(1)).toEqual({ verdict: 'valid', times: 2 });
    expect(await ask(9)).toEqual({ verdict: undefined, times: 2 });
  });
});
