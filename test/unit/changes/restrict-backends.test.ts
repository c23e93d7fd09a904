import { expect, test } from 'vitest';
import { restrictBackends } from '../../../src/changes/restrict-backends.ts';
import type { PlaceChoice } from '../../../src/changes/restrict-backends.ts';
import { refusal } from '../../support/set-up-gate.ts';

const KNOWN = ['aws', 'azure', 'gcp', 'remote', 'runpod'];

function restrict(allowed: Partial<PlaceChoice['allowed']>, more: Partial<PlaceChoice> = {}) {
  return restrictBackends({
    allowed: { backends: undefined, regions: undefined, ...allowed },
    type: 'task',
    configuration: {},
    extraFlags: {},
    documented: new Set(['--backend', '--region']),
    backendNames: async () => KNOWN,
    ...more,
  });
}

const allowed = { backends: ['aws', 'runpod'] };

test('the allowed backends are passed to dstack if none were requested', async () => {
  expect(await restrict(allowed, { extraFlags: { '--spot': true } })).toEqual({
    flags: { '--backend': ['aws', 'runpod'] },
    extraFlags: { '--spot': true },
  });
});

test('what the call asks for is narrowed to what is allowed, and handed on once', async () => {
  const configuration = { backends: ['gcp'] };
  expect(await restrict(allowed, { configuration, extraFlags: { '--backend': ['runpod', 'gcp'] } })).toEqual({
    flags: { '--backend': ['runpod'] },
    extraFlags: {},
  });
});

test('what the file asks for is narrowed as well, since the flag overrides it', async () => {
  const { flags } = await restrict(allowed, { configuration: { backends: ['aws', 'gcp'] } });
  expect(flags).toEqual({ '--backend': ['aws'] });
});

test.each([
  ['an empty list', { backends: [] }],
  ['nothing', { backends: null }],
])('%s in the file is not a choice: dstack treats it as all', async (_what, configuration) => {
  expect((await restrict(allowed, { configuration })).flags).toEqual({ '--backend': ['aws', 'runpod'] });
});

test('where nothing that was asked for is allowed, nothing is planned', async () => {
  expect(await refusal(restrict(allowed, { configuration: { backends: ['gcp'] } }))).toMatchObject({
    code: 'policy',
    message: expect.stringMatching(/backends \(gcp\).*Nothing was planned/),
  });
});

test.each<[string[], string[]]>([
  [['a*'], ['aws', 'azure']],
  [['AWS'], ['aws']],
  [['*'], KNOWN],
  [
    ['ssh', 'gcp'],
    ['gcp', 'remote'],
  ],
])('the backends %j are expanded into those that dstack knows', async (backends, names) => {
  expect((await restrict({ backends })).flags).toEqual({ '--backend': names });
});

test('a pattern is refused if dstack does not list its backends, or knows none that matches', async () => {
  expect(await refusal(restrict({ backends: ['a*'] }, { backendNames: async () => undefined }))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('a*'),
  });
  expect(await refusal(restrict({ backends: ['cloud*'] }))).toMatchObject({ code: 'policy' });
});

test('exact names are handed on if dstack does not list its backends', async () => {
  const { flags } = await restrict(allowed, { backendNames: async () => undefined });
  expect(flags).toEqual({ '--backend': ['aws', 'runpod'] });
});

test('a pattern for regions needs exact names in the call or the file: dstack lists no regions', async () => {
  const regions = ['eu-*', 'us-1'];
  expect(await refusal(restrict({ regions }))).toMatchObject({
    code: 'policy',
    message: expect.stringContaining('regions eu-*, us-1'),
    hint: expect.stringContaining('`regions`'),
  });
  expect((await restrict({ regions }, { configuration: { regions: ['eu-1', 'us-2'] } })).flags).toEqual({
    '--region': ['eu-1'],
  });
  expect((await restrict({ regions: ['us-1'] })).flags).toEqual({ '--region': ['us-1'] });
});

test.each<[string, Record<string, unknown>, RegExp]>([
  ['names nothing', {}, /may use any backends/],
  ['names an empty list', { backends: [] }, /may use any backends/],
  ['names another one as well', { backends: ['aws', 'gcp'] }, /may use the backends gcp/],
  ['names allowed ones', { backends: ['aws'] }, /^{"flags":{},"extraFlags":{}}$/],
])(
  'dstack documents no such flag for a fleet, so its file has to name them: it %s',
  async (_what, configuration, words) => {
    const planned = restrict({ backends: ['aw*'] }, { type: 'fleet', configuration, documented: new Set() });
    const outcome = await planned.then(JSON.stringify, (error: Error) => error.message);
    expect(outcome).toMatch(words);
  },
);

test('a volume names its place, which is compared itself', async () => {
  const planned = await restrict(allowed, { type: 'volume', configuration: { backend: 'gcp' }, documented: new Set() });
  expect(planned).toEqual({ flags: {}, extraFlags: {} });
});
