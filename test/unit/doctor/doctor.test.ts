import { describe, expect, test } from 'vitest';
import { ToolError } from '../../../src/core/errors.ts';
import { ownTranscript } from '../../../src/core/transcript.ts';
import type { Transcript } from '../../../src/core/transcript.ts';
import { checkSetup } from '../../../src/doctor/doctor.ts';
import type { ClientPrompts, DoctorSources } from '../../../src/doctor/doctor.ts';
import type { DoctorCheck } from '../../../src/doctor/local-checks.ts';
import { noCounts } from '../../../src/observability/calls.ts';
import { auditEntry } from '../../../src/safety/audit/audit-log.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { recordedCatalog } from '../../support/recorded-catalog.ts';

type Cli = Awaited<ReturnType<DoctorSources['cli']>>;

const COMMANDS = { warmCommands: 0, plainCommands: {} };

const cliOf = (version: '0.22.5' | '0.19.40', more: Partial<Cli> = {}): Cli => ({
  executable: { path: '/bin/dstack', tried: ['/venv/dstack', '/bin/dstack'], passedOver: [] },
  version,
  catalog: recordedCatalog(version),
  worker: () => ({ kind: 'ready', starts: 1, ...COMMANDS }),
  ...more,
});

const failed = (stderr: string): Transcript => ({
  ...ownTranscript('ps', ''),
  stderr,
  exit: { kind: 'exited', code: 1 },
});

function sourcesOf(more: Partial<DoctorSources> = {}, transcript = ownTranscript('ps', '')): DoctorSources {
  return {
    // The real one starts ssh.
    machine: () => [],
    settings: { warm: 'on', maxPrice: undefined, confirm: 'ask', readOnly: false, workspace: [], stateDir: '/state' },
    policy: { state: () => ({ kind: 'none' }) },
    dialog: { availability: () => ({ kind: 'unavailable', why: 'no desktop' }) },
    unfinished: { find: async () => [] },
    agreements: { list: async () => [] },
    grants: { list: async () => [] },
    dstack: {
      endpoint: async () => ({ project: 'main', server: 'http://localhost:3000' }),
      tryRead: async () => ({ transcript, failure: undefined }),
    },
    cli: async () => cliOf('0.22.5'),
    counts: () => noCounts(new Date(0)),
    ...more,
  };
}

async function checksOf(sources: DoctorSources, client?: ClientPrompts): Promise<Record<string, DoctorCheck>> {
  const { checks } = await checkSetup(sources, client);
  return Object.fromEntries(checks.map((check) => [check.name, check]));
}

const FORM = { canAskPerson: true, canShowCard: false };
const NOTHING = { canAskPerson: false, canShowCard: false };

describe('a setup', () => {
  test('that works has no errors, and lists the other places only as details', async () => {
    const checks = await checksOf(sourcesOf(), FORM);
    expect(Object.values(checks).map(({ state }) => state)).not.toContain('error');
    expect(checks['dstack']).toMatchObject({ found: '0.22.5 at /bin/dstack', details: 'Not found at: /venv/dstack' });
    expect(checks['server']?.found).toMatch(/^project main on http:\/\/localhost:3000 responds in \d+ ms$/);
    expect(checks['project']?.found).toBe('main: its token is valid');
  });

  test('without dstack reports that, and checks nothing that needs it', async () => {
    const error = new ToolError('cli-not-found', 'There is no dstack.', 'Install it.');
    const checks = await checksOf(sourcesOf({ cli: () => Promise.reject(error) }), FORM);
    expect(checks['dstack']).toEqual({
      name: 'dstack',
      state: 'error',
      found: 'There is no dstack.',
      fix: 'Install it.',
    });
    expect(Object.keys(checks)).not.toContain('server');
    expect(checks['warm worker']?.found).toBe('not started');
  });

  test('with an old dstack lists the tools that do not work', async () => {
    const checks = await checksOf(sourcesOf({ cli: async () => cliOf('0.19.40') }));
    expect(checks['commands']).toMatchObject({ state: 'warning', fix: expect.stringContaining('Upgrade dstack') });
    expect(checks['commands']?.found).toContain('run get (get, stop, attach, delete, exec, copy, request)');
  });

  test('with a dstack too old for fleets is still checked to the end', async () => {
    const { dstack } = sourcesOf();
    const tooOld = new ToolError('cli-too-old', 'dstack 0.16.5 documents no `fleet`.', 'Upgrade it.');
    const tryRead: typeof dstack.tryRead = async (request) => {
      if (request.command === 'fleet') throw tooOld;
      return dstack.tryRead(request);
    };
    const checks = await checksOf(sourcesOf({ dstack: { ...dstack, tryRead } }));
    expect(checks['project']?.state).toBe('ok');
  });

  test.for([
    [
      'a rejected token',
      'Error: Unauthorized\nAccess to http://x/api is denied. Please check your access token',
      'project',
    ],
    ['a server that is down', 'Failed to connect to dstack server http://localhost:3000', 'server'],
  ] as const)('with %s has the error in its place', async ([, stderr, name]) => {
    const checks = await checksOf(sourcesOf({}, failed(stderr)));
    expect(checks[name]).toMatchObject({ state: 'error', fix: expect.any(String), code: expect.any(String) });
    expect(checks['server']?.state).toBe(name === 'server' ? 'error' : 'ok');
  });

  test('whose project is not on the server has an error, although dstack lists its runs as none', async () => {
    const missing = failed('Status code 404 when requesting http://localhost:3000/api/project/main/fleets/list');
    const { dstack } = sourcesOf();
    const tryRead: typeof dstack.tryRead = async ({ command }) => ({
      transcript: command === 'fleet' ? missing : ownTranscript(command, ''),
      failure: undefined,
    });
    const checks = await checksOf(sourcesOf({ dstack: { ...dstack, tryRead } }));
    expect(checks['server']?.state).toBe('ok');
    expect(checks['project']).toMatchObject({
      state: 'error',
      found: 'http://localhost:3000 has no project main',
      fix: expect.stringMatching(/dstack project list.*dstack project add .*http:\/\/localhost:3000/),
    });
  });

  test('with a worker that keeps failing says how to turn it off', async () => {
    const cli = cliOf('0.22.5', { worker: () => ({ kind: 'given-up', why: 'it exited', starts: 3, ...COMMANDS }) });
    const checks = await checksOf(sourcesOf({ cli: async () => cli }));
    expect(checks['warm worker']).toMatchObject({
      state: 'warning',
      fix: expect.stringContaining('DSTACK_MCP_WARM=off'),
    });
    expect(checks['warm worker']?.found).toMatch(/^given-up: it exited; started 3 times: /);
  });

  test('whose dstack is not known to be a Python script says why, and what to set', async () => {
    const notPython = 'it is a shim of pyenv, and no version that pyenv is set to has dstack';
    const executable = { path: '/shims/dstack', notPython, tried: ['/shims/dstack'], passedOver: [] };
    const why = `no Python script is known: /shims/dstack: ${notPython}`;
    const cli = cliOf('0.22.5', { executable, worker: () => ({ kind: 'off', why, starts: 0, ...COMMANDS }) });
    const checks = await checksOf(sourcesOf({ cli: async () => cli }));
    expect(checks['dstack']).toMatchObject({
      state: 'warning',
      found: expect.stringMatching(`^0.22.5 at /shims/dstack, .*${notPython}.* no file is planned`),
      fix: expect.stringMatching(/DSTACK_MCP_CLI.*pyenv which dstack/),
    });
  });

  test('with a broken policy is an error, and the price cap is shown as a price', async () => {
    const { settings } = sourcesOf();
    const broken = sourcesOf({ policy: { state: () => ({ kind: 'broken', file: '/p.yml', why: 'no YAML' }) } });
    expect((await checksOf(broken))['policy']).toMatchObject({ state: 'error', found: 'no YAML', fix: 'Fix /p.yml' });
    const capped = sourcesOf({ settings: { ...settings, maxPrice: 2 } });
    expect((await checksOf(capped))['policy']?.found).toBe('no file, at most $2.00/h');
  });
});

test('a change whose server ended before its result is a warning', async () => {
  expect(await checksOf(sourcesOf())).not.toHaveProperty('changes');
  const entry = auditEntry('id1', pendingChange(), { event: 'approved', level: 'token' });
  const unfinished = { find: async () => [{ entry, approvedAt: new Date('2026-01-02T03:04:05Z') }] };
  expect((await checksOf(sourcesOf({ unfinished })))['changes']).toMatchObject({
    state: 'warning',
    found:
      'an earlier server ended before it knew the result of 1 change: create task train in project main, approved at 2026-01-02T03:04:05.000Z',
    fix: expect.stringContaining('ps'),
  });
});

describe('consent', () => {
  const { settings } = sourcesOf();
  test.for([
    ['ask', FORM, 'ok', /the user is asked with the client's form/],
    ['ask', NOTHING, 'warning', /the confirmation token is enough/],
    ['person', NOTHING, 'warning', /every change is refused/],
  ] as const)('with %s and %o is %s', async ([confirm, client, state, found]) => {
    const checks = await checksOf(sourcesOf({ settings: { ...settings, confirm } }), client);
    expect(checks['consent']).toMatchObject({ state, found: expect.stringMatching(found) });
  });

  test('without a person names the setting that makes one necessary', async () => {
    expect((await checksOf(sourcesOf(), NOTHING))['consent']?.fix).toContain('DSTACK_MCP_CONFIRM=person');
  });

  test('with a dialog is asked there', async () => {
    const dialog: DoctorSources['dialog'] = { availability: () => ({ kind: 'available', tool: 'zenity' }) };
    expect((await checksOf(sourcesOf({ dialog }), NOTHING))['consent']?.found).toContain('(zenity)');
  });

  test('is not needed if the server is read-only', async () => {
    const readOnly = sourcesOf({ settings: { ...settings, readOnly: true } });
    for (const client of [FORM, undefined])
      expect((await checksOf(readOnly, client))['consent']?.found).toBe('read-only: nothing can be changed');
  });
});

test('in a terminal there is no client and no count of calls', async () => {
  const report = await checkSetup(sourcesOf());
  expect(report.counters).toBeUndefined();
  expect(report.checks.map(({ name }) => name)).not.toContain('client');
  expect((await checkSetup(sourcesOf(), FORM)).counters).toMatchObject({ workerStarts: 1 });
});
