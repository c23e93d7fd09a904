import { monitorEventLoopDelay } from 'node:perf_hooks';
import { mkdtemp, realpath, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readConfigurationHead } from '../../../src/configuration/read-configuration.ts';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeConfigurationService } from '../../support/make-configuration-service.ts';
import type { TestConfigurationService } from '../../support/make-configuration-service.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';

/** Generous: the machine may be busy. The work that this guards against took half a minute and more. */
const MAX_DELAY_MS = 2_000;

let home: string;
let runner: WarmRunner;
let service: TestConfigurationService;

beforeAll(async () => {
  home = await realpath(await mkdtemp(path.join(tmpdir(), 'dstack-mcp-bounded-')));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  service = makeConfigurationService({ home, introspection: runner.introspection, env });
  await service.check({ text: 'type: task\n', shownPath: 'x' });
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true, force: true });
});

/** Returns the longest time for which the event loop was blocked. */
async function delayOf(work: () => Promise<unknown>): Promise<number> {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  await work();
  delay.disable();
  return delay.max / 1e6;
}

const unknownKeys = (count: number): string =>
  `type: task\n${Array.from({ length: count }, (_, at) => `key${at}: 1\n`).join('')}`;

test('thousands of unknown properties are counted, and the first ones are described', async () => {
  const check = async (): Promise<void> => {
    const { problems, omitted, transcript } = await service.check({ text: unknownKeys(4_000), shownPath: 'x' });
    expect(problems.length).toBeLessThanOrEqual(100);
    expect(problems.length + omitted).toBeGreaterThanOrEqual(4_000);
    expect(transcript.stdout).toContain('more problems: fix these first.');
  };
  expect(await delayOf(check)).toBeLessThan(MAX_DELAY_MS);
});

test.each([
  ['properties', unknownKeys(18_000)],
  ['properties on one line', `type: task\nx: {${Array.from({ length: 15_000 }, (_, at) => `k${at}: 1`).join(', ')}}\n`],
  ['empty lines', `type: task\n${'\n'.repeat(150_000)}`],
  ['characters', `type: task\nname: ${'x'.repeat(250_000)}\n`],
])('a file with too many %s is refused before it is parsed, by every reader', async (_what, text) => {
  const refused = { code: 'invalid-file' };
  const check = async (): Promise<void> => {
    await expect(service.check({ text, shownPath: 'x' })).rejects.toMatchObject(refused);
    expect(() => readConfigurationHead(Buffer.from(text), 'x')).toThrow(expect.objectContaining(refused));
  };
  expect(await delayOf(check)).toBeLessThan(MAX_DELAY_MS);
});

test('a count of nodes with very many spaces isn’t a count', async () => {
  for (const spaces of [150_000, 199_000]) {
    const text = `type: task\nnodes: "${' '.repeat(spaces)}x"\n`;
    const read = (): Promise<unknown> => Promise.resolve(readConfigurationHead(Buffer.from(text), 'x').copies);
    expect(await delayOf(read)).toBeLessThan(MAX_DELAY_MS);
    expect(await read()).toBeUndefined();
  }
});
