import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import type { WarmRunner } from '../../../src/dstack/warm/runner.ts';
import { STARTER_FILES } from '../../../src/configuration/examples.ts';
import { installedDstack, installedPython } from '../../support/installed-dstack.ts';
import { makeWarmRunner } from '../../support/warm-test-runner.ts';
import { makeConfigurationService } from '../../support/make-configuration-service.ts';
import type { TestConfigurationService } from '../../support/make-configuration-service.ts';

let home: string;
let runner: WarmRunner;
let service: TestConfigurationService;

beforeAll(async () => {
  home = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-start-'));
  const env = { HOME: home, PATH: process.env['PATH'] ?? '' };
  runner = makeWarmRunner({ executable: { path: installedDstack, interpreter: installedPython, tried: [] }, env });
  service = makeConfigurationService({ home, introspection: runner.introspection, env });
});
afterAll(async () => {
  await runner.close();
  await rm(home, { recursive: true, force: true });
});

describe('a starter file', () => {
  test('exists for each type that the installed dstack knows', async () => {
    expect(Object.keys(STARTER_FILES)).toEqual(expect.arrayContaining([...(await service.types())]));
  });

  test.for(Object.keys(STARTER_FILES))('of type %s is valid, commented, and needs no advice', async (type) => {
    if (!(await service.types()).includes(type)) return;
    const { text, checked } = await service.start(type);
    expect(checked, text).toMatchObject({ verdict: 'valid', problems: [], advice: [] });
    expect(text).toMatch(/^# .+\n# Replace the values marked EXAMPLE\. All properties: https:\/\/dstack\.ai\/docs\//);
    const properties = Object.keys(parse(text, { version: '1.1' })).filter((name) => name !== 'type');
    const comments = text.match(/^\s*#|# EXAMPLE$/gm) ?? [];
    expect(comments.length).toBeGreaterThanOrEqual(properties.length);
    expect(text).toMatch(/ # EXAMPLE$/m);
  });

  test.for(['tsk', 'task.resources', 'constructor', 'task need'])(
    'is rejected for the type %j, with the valid types',
    async (type) => {
      const types = await service.types();
      await expect(service.start(type)).rejects.toMatchObject({
        code: 'invalid-input',
        message: `There is no starter file for ${JSON.stringify(type)}.`,
        hint: `Set \`property\` to one of: ${types.join(', ')}.`,
      });
    },
  );
});
