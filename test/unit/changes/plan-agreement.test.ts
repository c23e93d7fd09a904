import { readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import type { ApplyRequest } from '../../../src/core/change.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import { readFixture } from '../../support/read-fixture.ts';
import { reportOf, setUpChanges } from '../../support/set-up-changes.ts';
import type { ChangesOptions } from '../../support/set-up-changes.ts';
import { approving, refusal, yes } from '../../support/set-up-gate.ts';

const apply: ApplyRequest = { tool: 'apply', file: 'code.dstack.yml' };
const URL_OF_REPOSITORY = 'https://git.example/team/code';
const CREDENTIAL = { kind: 'token', path: '/home/u/.config/gh/hosts.yml', sha256: 'a1' } as const;
const ACTION = `contact git.example for the Git repository ${URL_OF_REPOSITORY} and, unless it is public, send the first of these that opens it to the dstack server http://127.0.0.1:3999: the token in /home/u/.config/gh/hosts.yml`;

function setUp(options: ChangesOptions = {}) {
  const changes = setUpChanges(options);
  const { world } = changes;
  changes.write(apply.file, `type: task\nname: lab-task\ncommands: [echo hello]\nrepos: ['${URL_OF_REPOSITORY}']\n`);
  world.reads = { apply: 'plan-task-create' };
  world.credentials = found(CREDENTIAL);
  return changes;
}

interface FoundCredential {
  readonly kind: 'key' | 'token';
  readonly path: string;
  readonly sha256: string;
}

const found = (...credentials: FoundCredential[]) => ({
  repositories: [{ host: 'git.example', url: URL_OF_REPOSITORY, cloneUrls: [URL_OF_REPOSITORY], credentials }],
  keys: [],
});

/** Agrees to what the plan asks for. */
async function agree(changes: ReturnType<typeof setUp>): Promise<void> {
  expect(await changes.redeem(await changes.mint(apply))).toMatchObject({ outcome: 'done' });
}

test('a plan that would contact another host and send a credential asks first, and dstack is not started', async () => {
  const changes = setUp();
  const report = await changes.preview(apply);
  expect(report).toMatchObject({
    outcome: 'waiting',
    summary: `Nothing was planned or sent yet. To plan code.dstack.yml, dstack would ${ACTION}. That needs consent once.`,
    facts: { operation: 'send', sends: [ACTION], token: expect.any(String) },
    next: expect.stringMatching(
      /^Show this to the user\. Call apply with the token once they approve, .* Then call plan again\.$/,
    ),
  });
  expect(changes.ran).toEqual([]);
  expect(changes.audited).toEqual([]);
});

test('what was agreed to is sent from then on without asking, and only those credentials for that repository', async () => {
  const changes = setUp();
  const agreed = reportOf(await changes.redeem(await changes.mint(apply)));
  expect(agreed).toMatchObject({
    outcome: 'done',
    facts: { operation: 'send' },
    next: expect.stringMatching(/^Call plan again/),
  });
  expect(changes.ran).toEqual([]);
  for (let round = 0; round < 2; round += 1)
    expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'create', token: expect.any(String) } });
  expect(changes.ran.map(({ options }) => options.wire?.credentials)).toEqual([
    [{ sha256: 'a1', cloneUrls: [URL_OF_REPOSITORY] }],
    [{ sha256: 'a1', cloneUrls: [URL_OF_REPOSITORY] }],
  ]);
});

test('the person is asked for exactly that, and a rejection sends nothing', async () => {
  const changes = setUp();
  const token = await changes.mint(apply);
  const question = await changes.redeem(token, { canAskPerson: true });
  expect(question).toMatchObject({
    kind: 'question',
    field: { yes: expect.stringMatching(/^Yes, allow plans to send /) },
  });
  if (!('kind' in question)) throw new Error('expected a question');
  expect(question.message).toContain(`Planning would:\n- ${ACTION}`);
  expect(question.message).toContain('Project: lab on http://127.0.0.1:3999');
  const no = { kind: 'declined', nonce: question.nonce } as const;
  expect(await refusal(changes.redeem(token, { canAskPerson: true, answer: no }))).toMatchObject({
    code: 'person-declined',
  });
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
  expect(changes.ran).toEqual([]);
});

test('a person who agrees in the form is remembered with that level', async () => {
  const changes = setUp();
  const token = await changes.mint(apply);
  const question = await changes.redeem(token, { canAskPerson: true });
  if (!('kind' in question)) throw new Error('expected a question');
  await changes.redeem(token, { canAskPerson: true, answer: yes(question.nonce, approving(question.field)) });
  expect(await changes.agreements.list()).toEqual([
    {
      server: 'http://127.0.0.1:3999',
      kind: 'repository',
      subject: URL_OF_REPOSITORY,
      credentials: ['a1'],
      level: 'person-form',
      agreedAt: expect.any(String),
      file: expect.stringContaining(changes.stateDir),
    },
  ]);
  const folder = path.join(changes.stateDir, 'agreements');
  const [file = ''] = readdirSync(folder);
  expect(statSync(folder).mode & 0o077).toBe(0);
  expect(statSync(path.join(folder, file)).mode & 0o077).toBe(0);
});

test('another credential, another server, a deleted and a damaged agreement are asked for again', async () => {
  const changes = setUp();
  await agree(changes);
  changes.world.credentials = found({ ...CREDENTIAL, sha256: 'c3' });
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
  changes.world.credentials = found(CREDENTIAL);
  changes.world.config = { ...changes.world.config, serverOfEnvironment: 'https://other.example' };
  const elsewhere = await changes.preview(apply);
  expect(elsewhere.facts.sends?.[0]).toContain('to the dstack server https://other.example');
  changes.world.config = { ...changes.world.config, serverOfEnvironment: undefined };
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'create' } });
  const [agreement] = await changes.agreements.list();
  writeFileSync(agreement?.file ?? '', '{');
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
  rmSync(agreement?.file ?? '');
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
});

test('an agreement to one credential is none to another one with it, but one to both is one to each', async () => {
  const changes = setUp();
  const second = { kind: 'key', path: '/home/u/.ssh/id_ed25519', sha256: 'b2' } as const;
  await agree(changes);
  changes.world.credentials = found(CREDENTIAL, second);
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
  await agree(changes);
  changes.world.credentials = found(second);
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'create' } });
});

test.each([{ server: 'https://other.example' }, { kind: 'variable' }, { subject: 'https://git.example/other' }])(
  'an agreement whose file was edited counts as none: %j',
  async (other) => {
    const changes = setUp();
    await agree(changes);
    const [agreement] = await changes.agreements.list();
    writeFileSync(agreement?.file ?? '', JSON.stringify({ ...agreement, ...other }));
    expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
  },
);

test('a credential that changes after the question is another question', async () => {
  const changes = setUp();
  const token = await changes.mint(apply);
  changes.world.credentials = found({ ...CREDENTIAL, sha256: 'c3' });
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(await changes.agreements.list()).toEqual([]);
});

test('a run is not applied after its agreement was revoked', async () => {
  const changes = setUp();
  await agree(changes);
  const token = await changes.mint(apply);
  rmSync(path.join(changes.stateDir, 'agreements'), { recursive: true });
  expect(await refusal(changes.redeem(token))).toMatchObject({ code: 'plan-changed' });
  expect(changes.changed()).toEqual([]);
});

test('the policy decides who has to agree', async () => {
  const person = setUp({ policy: 'consent: {send: person}\n' });
  expect(await refusal(person.redeem(await person.mint(apply)))).toMatchObject({ code: 'person-needed' });
  const nobody = setUp({ policy: 'consent: {send: allow}\n', settings: { confirm: 'person' } });
  await agree(nobody);
  expect(await nobody.agreements.list()).toMatchObject([{ level: 'policy' }]);
});

test('an agreement that is too weak for the policy by now is asked for again', async () => {
  const changes = setUp({ policy: '{}\n' });
  await agree(changes);
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'create' } });
  changes.writePolicy('consent: {send: person}\n');
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
  const confirming = setUp({ stateDir: changes.stateDir, settings: { confirm: 'person' } });
  expect(await confirming.preview(apply)).toMatchObject({ facts: { operation: 'send' } });
  changes.writePolicy('{}\n');
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'create' } });
});

test('a host of the policy is contacted without asking, and a credential that dstack needs is asked for then', async () => {
  const changes = setUp({ policy: 'hand_over: {hosts: {allow: [git.example]}}\n' });
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'create' } });
  expect(changes.ran.at(-1)?.options.wire?.credentials).toEqual([]);
  const kept: Transcript = {
    ...readFixture('plan-task-create'),
    stdout: '',
    stderr: 'dstack-mcp did not send this request',
    exit: { kind: 'exited', code: 1 },
    requests: [{ event: 'denied', path: 'repos/init', why: 'it carries a credential', credential: true }],
  };
  changes.world.reads = { apply: () => kept };
  expect(await changes.preview(apply)).toMatchObject({ facts: { operation: 'send', sends: [ACTION] } });
  await agree(changes);
  changes.world.reads = { apply: 'plan-task-create' };
  await changes.preview(apply);
  expect(changes.ran.at(-1)?.options.wire?.credentials).toHaveLength(1);
});

test('a read-only server asks for nothing, since it sends nothing', async () => {
  const changes = setUp({ settings: { readOnly: true } });
  expect(await refusal(changes.preview(apply))).toMatchObject({ code: 'read-only' });
});

test('a dstack that does not say which credentials it would send gets no such configuration', async () => {
  const changes = setUp();
  delete changes.world.credentials;
  expect(await refusal(changes.preview(apply))).toMatchObject({ code: 'cli-not-understood' });
  expect(changes.ran).toEqual([]);
});

test('the audit log has what was agreed to, and what each plan sent, before it was sent', async () => {
  const changes = setUp();
  await agree(changes);
  expect(changes.audited).toMatchObject([
    { event: 'asked', operation: 'send', sends: [ACTION] },
    { event: 'approved', operation: 'send', level: 'token' },
    { event: 'done', operation: 'send', outcome: 'done' },
  ]);
  changes.world.canAudit = () => false;
  expect(await refusal(changes.preview(apply))).toMatchObject({ code: 'audit-unavailable' });
  expect(changes.ran).toEqual([]);
  changes.world.canAudit = () => true;
  await changes.preview(apply);
  expect(changes.audited.at(-1)).toMatchObject({
    event: 'planned',
    tool: 'plan',
    resource: { kind: 'task', name: 'lab-task' },
    sends: ['the Git credentials that dstack finds for git.example'],
  });
});

test('a plan that sends only the configuration writes no line', async () => {
  const changes = setUp();
  await changes.preview({ tool: 'apply', file: 'task.dstack.yml' });
  expect(changes.audited).toEqual([]);
});
