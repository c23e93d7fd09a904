import { readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { AccessUse } from '../../../../src/core/change.ts';
import { grantConsent } from '../../../../src/safety/consent/consent.ts';
import { accessArgv, Grants } from '../../../../src/safety/consent/remembered-consents.ts';
import type { GrantTerms } from '../../../../src/safety/consent/remembered-consents.ts';
import { refusal } from '../../../support/set-up-gate.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

const START = Date.parse('2026-03-01T10:00:00Z');
const LIFE_MS = 60_000;
const RUN = { server: 'http://127.0.0.1:3000', project: 'main', run: 'train', runId: 'r-1', deployment: 0 };
const terms = (more: Partial<GrantTerms> = {}): GrantTerms => ({
  ...RUN,
  until: new Date(START + LIFE_MS).toISOString(),
  reachesServer: false,
  ...more,
});
const use = (more: Partial<AccessUse> = {}): AccessUse => ({ what: 'exec', text: 'nvidia-smi', ...more });

function setUp() {
  const stateDir = emptyFolder();
  const clock = { wall: START, boot: 5_000 };
  const grants = new Grants(stateDir, { wall: () => clock.wall, sinceBoot: () => clock.boot });
  const consentTo = (of: GrantTerms) => grantConsent({ level: 'token', argv: accessArgv(of) });
  const pass = (ms: number): void => {
    clock.wall += ms;
    clock.boot += ms;
  };
  return {
    grants,
    clock,
    pass,
    folder: path.join(stateDir, 'grants'),
    consentTo,
    remember: (of: GrantTerms) => grants.remember(consentTo(of), of),
  };
}

test.each<[string, Partial<AccessUse>]>([
  ['text', { text: 'rm -rf /' }],
  ['input', { input: 'x' }],
  ['replica', { replica: 1 }],
  ['job', { job: 1 }],
  ['place', { isBackground: true }],
])('a grant of one use is none of the same with another %s', async (_what, other) => {
  const { grants, remember } = setUp();
  await remember(terms({ use: use() }));
  expect(await grants.find(RUN, { use: use() })).toMatchObject({ shown: 'nvidia-smi', level: 'token' });
  expect(await grants.find(RUN, { use: use(other) })).toBeUndefined();
  expect(await grants.find(RUN)).toBeUndefined();
});

test('a grant of requests with the token is one of nothing else, and a grant of every use is none of them', async () => {
  const { grants, remember } = setUp();
  await remember(terms({ token: true }));
  expect(await grants.find(RUN)).toBeUndefined();
  expect(await grants.find(RUN, { token: true })).toMatchObject({ token: true });
  const every = setUp();
  await every.remember(terms());
  expect(await every.grants.find(RUN)).toBeDefined();
  expect(await every.grants.find(RUN, { token: true })).toBeUndefined();
});

test.each([{ server: 'http://other' }, { project: 'other' }, { run: 'other' }, { runId: 'r-2' }, { deployment: 1 }])(
  'a grant for a run is none for another one: %j',
  async (other) => {
    const { grants, remember } = setUp();
    await remember(terms());
    expect(await grants.find({ ...RUN, ...other })).toBeUndefined();
  },
);

test('a grant is in force until its last millisecond, by both clocks', async () => {
  const { grants, clock, pass, remember } = setUp();
  await remember(terms());
  pass(LIFE_MS - 1);
  expect(await grants.list()).toHaveLength(1);
  pass(1);
  expect(await grants.list()).toEqual([]);
  pass(-1);
  clock.wall += 1;
  expect(await grants.list()).toEqual([]);
});

test.each([
  ['set ahead', { wall: 10_000, boot: 0 }, 0],
  ['a little off', { wall: 9_999, boot: 0 }, 1],
  ['set back', { wall: -1, boot: 0 }, 0],
  ['started again', { wall: 0, boot: -1 }, 0],
])('a clock that is %s decides with the other one', async (_what, { wall, boot }, inForce) => {
  const { grants, clock, remember } = setUp();
  await remember(terms());
  clock.wall += wall;
  clock.boot += boot;
  expect(await grants.list()).toHaveLength(inForce);
});

test('a consent to something else, or one that was spent, is not remembered', async () => {
  const { grants, folder, consentTo } = setUp();
  const consent = consentTo(terms());
  await grants.remember(consent, terms());
  for (const wrong of [consent, consentTo(terms({ runId: 'r-2' })), consentTo(terms({ commands: ['ls'] }))])
    expect(await refusal(grants.remember(wrong, terms()))).toMatchObject({
      code: 'consent-missing',
      message: 'There is no consent to use this run. Nothing was run.',
      hint: 'Make the call that needs it again, and have it approved.',
    });
  expect(readdirSync(folder)).toHaveLength(1);
});

test('a new grant removes those that have ended or are damaged, and keeps the others', async () => {
  const { grants, folder, pass, remember } = setUp();
  await remember(terms());
  await remember(terms({ runId: 'r-2', until: new Date(START + 2 * LIFE_MS).toISOString() }));
  writeFileSync(path.join(folder, 'damaged.json'), '{', { mode: 0o600 });
  pass(LIFE_MS);
  expect((await grants.list()).map(({ runId }) => runId)).toEqual(['r-2']);
  await remember(terms({ runId: 'r-3', until: new Date(START + 2 * LIFE_MS).toISOString() }));
  expect((await grants.list()).map(({ runId }) => runId).toSorted()).toEqual(['r-2', 'r-3']);
  expect(readdirSync(folder)).toHaveLength(2);
});

test('all grants for a name end at once, also those that a wrong clock keeps from being in force', async () => {
  const { grants, clock, remember } = setUp();
  await remember(terms());
  await remember(terms({ runId: 'r-2' }));
  await remember(terms({ run: 'other' }));
  clock.wall -= 1;
  expect(await grants.revoke(RUN)).toBe(2);
  expect(await grants.revoke(RUN)).toBe(0);
  clock.wall += 1;
  expect(await grants.list()).toMatchObject([{ run: 'other' }]);
});

test('of several processes, one ends a grant', async () => {
  const { grants, remember } = setUp();
  await remember(terms());
  const [grant] = await grants.list();
  if (grant === undefined) throw new Error('expected a grant');
  expect(await Promise.all([grants.end(grant), grants.end(grant)])).toEqual(expect.arrayContaining([true, false]));
});

test('a grant that cannot be written is refused', async () => {
  const file = path.join(emptyFolder(), 'file');
  writeFileSync(file, '');
  const { consentTo } = setUp();
  expect(await refusal(new Grants(file).remember(consentTo(terms()), terms()))).toMatchObject({
    code: 'state-unavailable',
    message: `The consent can't be saved in ${path.join(file, 'grants')}. Nothing was run.`,
    hint: 'Tell the user; doctor shows the state folder.',
    cause: expect.any(Error),
  });
});
