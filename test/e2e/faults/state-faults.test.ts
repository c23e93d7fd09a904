import { existsSync } from 'node:fs';
import { appendFile, cp, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import * as z from 'zod';
import { runNames, stopRuns } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { connect } from '../../support/connect.ts';
import type { TestClient } from '../../support/connect.ts';
import { processesIn } from '../../support/processes.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';
import { canLimitFiles, limitFiles } from '../../support/limit-files.ts';

const line = z.looseObject({
  id: z.string(),
  event: z.string(),
  resource: z.looseObject({ name: z.string().optional() }),
});
type Line = z.output<typeof line>;

const auditFile = (stateDir: string): string => path.join(stateDir, 'audit', 'audit.jsonl');

/** Returns the truncated lines of a text. */
const cutLines = (text: string): readonly string[] =>
  text.split('\n').filter((one) => one !== '' && !one.endsWith('}'));

/**
 * The lines of the audit log; each must be whole, but for those that a test has cut short. Where several servers find a line cut short at the same time,
 * each of them ends it: then there are empty ones too.
 */
async function auditLines(stateDir: string, cut: readonly string[] = []): Promise<readonly Line[]> {
  const text = await readFile(auditFile(stateDir), 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  const lines = text.split('\n').slice(0, -1);
  const isMeant = (one: string): boolean => !cut.includes(one) && (cut.length === 0 || one !== '');
  return lines.filter(isMeant).map((one) => line.parse(JSON.parse(one)));
}

const eventsOf = (lines: readonly Line[], name: string): readonly string[] =>
  lines.filter(({ resource }) => resource.name === name).map(({ event }) => event);

interface Planned {
  readonly name: string;
  readonly file: string;
  readonly token: unknown;
}

const atEnd = collectEnds(afterAll);

async function plan(home: TestHome, client: TestClient): Promise<Planned> {
  const name = uniqueName('state');
  atEnd(() => stopRuns(name));
  const file = await home.write(`${name}.dstack.yml`, task(name));
  const { facts } = await client.call('plan', { file });
  expect(facts, String(facts['summary'])).toMatchObject({ outcome: 'done', token: expect.any(String) });
  return { name, file, token: facts['token'] };
}

async function apply(client: TestClient, token: unknown): Promise<Readonly<Record<string, unknown>>> {
  return (await client.call('apply', { token })).facts;
}

/** Breaks the state folder of a running server, and returns a function that repairs it. */
type Break = (client: TestClient, stateDir: string) => Promise<() => Promise<unknown>>;

/** Puts something else in the place of the state folder, or of something in it. */
const inPlaceOf = (placeIn: (stateDir: string) => string, make: (place: string) => Promise<unknown>): Break => {
  return async (_client, stateDir) => {
    const place = placeIn(stateDir);
    const kept = `${place}.kept`;
    await rename(place, kept);
    await make(place);
    return async () => {
      await rm(place, { recursive: true });
      await rename(kept, place);
    };
  };
};
const whole = (stateDir: string): string => stateDir;

const BREAKS: readonly (readonly [what: string, can: boolean, breakIt: Break])[] = [
  [
    'the disk is full (needs prlimit)',
    canLimitFiles,
    async ({ pid }) => {
      limitFiles(pid, 0);
      return () => Promise.resolve(limitFiles(pid, 'unlimited'));
    },
  ],
  // Not even root can create a folder there.
  [
    'the state folder can’t be written',
    existsSync('/sys/kernel'),
    inPlaceOf(whole, (place) => symlink('/sys/kernel', place)),
  ],
  ['a file has the path of the state folder', true, inPlaceOf(whole, (place) => writeFile(place, ''))],
  ['a folder has the path of the audit log', true, inPlaceOf(auditFile, (place) => mkdir(place))],
];

let home: TestHome;
let client: TestClient;
/** A run that was applied first of all. */
let first: string;
beforeAll(async () => {
  home = await createTestHome({ atEnd });
  client = await connect({ env: home.env, atEnd });
  const { name, token } = await plan(home, client);
  await apply(client, token);
  // It starts a process, which must not change how a full disk is handled.
  await client.call('doctor');
  first = name;
});

describe('while a server runs and', () => {
  for (const [what, can, breakIt] of BREAKS) {
    test.skipIf(!can)(
      `${what}: reads and plans work, nothing is changed, and the same token is valid after the repair`,
      async () => {
        const before = await readFile(auditFile(home.stateDir), 'utf8');
        const repair = await breakIt(client, home.stateDir);
        const { name, token } = await plan(home, client);
        expect((await client.call('ps', { last: 1 })).facts['outcome']).toBe('done');
        expect((await client.call('help', { command: 'event' })).facts['outcome']).toBe('done');
        const refused = await apply(client, token);
        expect(refused).toMatchObject({ outcome: 'refused', code: 'audit-unavailable' });
        expect(refused['summary']).toMatch(/nothing was changed/);
        const written = await client.call('write_config', {
          file: 'new.dstack.yml',
          text: 'type: task\ncommands: [ls]\n',
        });
        expect(written.facts).toMatchObject({ outcome: 'refused', code: 'audit-unavailable' });
        expect(existsSync(path.join(home.workspace, 'new.dstack.yml'))).toBe(false);
        expect(await runNames()).not.toContain(name);
        await repair();
        expect(await apply(client, token)).toMatchObject({ outcome: 'done' });
        expect((await runNames()).filter((one) => one === name)).toHaveLength(1);
        expect((await readFile(auditFile(home.stateDir), 'utf8')).startsWith(before)).toBe(true);
        expect(eventsOf(await auditLines(home.stateDir), name)).toEqual(['asked', 'approved', 'done']);
      },
    );
  }

  test.skipIf(!canLimitFiles)(
    'the disk is full, attaching is refused, and no dstack attach is left (needs prlimit)',
    async () => {
      limitFiles(client.pid, 0);
      onTestFinished(() => limitFiles(client.pid, 'unlimited'));
      const refused = await client.call('attach', { run: first });
      expect(refused.facts).toMatchObject({ outcome: 'refused', code: 'state-unavailable' });
      expect((await client.call('attach', { action: 'list' })).facts).toMatchObject({
        outcome: 'done',
        attachments: [],
      });
      const left = (await processesIn(home.home)).filter(({ command }) => command.includes(`attach --logs ${first}`));
      expect(left).toEqual([]);
      expect(await readdir(path.join(home.stateDir, 'attachments'))).toEqual([]);
    },
  );

  test.skipIf(!canLimitFiles)(
    'the disk fills up during a change: the change is reported as done, with its audit line missing, and no other is executed until there is space (needs prlimit)',
    async () => {
      const [whole, cutShort] = [await plan(home, client), await plan(home, client)];
      await apply(client, whole.token);
      const lines = (await readFile(auditFile(home.stateDir), 'utf8')).split('\n').slice(-4, -1);
      const [asked = 0, approved = 0, done = 0] = lines.map((text) => text.length + 1);
      const { size } = await stat(auditFile(home.stateDir));
      limitFiles(client.pid, size + asked + approved + Math.floor(done / 2));
      onTestFinished(() => limitFiles(client.pid, 'unlimited'));
      const made = await apply(client, cutShort.token);
      expect(made).toMatchObject({ outcome: 'done' });
      expect(made['summary']).toMatch(/couldn't be written to the audit log/);
      const stop = (await client.call('stop', { run: cutShort.name })).facts;
      expect((await client.call('apply', { token: stop['token'] })).facts).toMatchObject({ code: 'audit-unavailable' });
      limitFiles(client.pid, 'unlimited');
      expect((await client.call('apply', { token: stop['token'] })).facts).toMatchObject({ outcome: 'done' });
      const all = await auditLines(home.stateDir, cutLines(await readFile(auditFile(home.stateDir), 'utf8')));
      expect(eventsOf(all, cutShort.name)).toEqual(['asked', 'approved', 'asked', 'approved', 'done']);
      expect(eventsOf(all, whole.name)).toEqual(['asked', 'approved', 'done']);
    },
  );
});

const ATTACHMENT = {
  version: 1,
  id: 'gone',
  run: 'gone',
  argv: ['attach', '--logs', 'gone'],
  marker: 'nobody',
  createdAt: '2026-01-01T00:00:00.000Z',
};

/** Damages every file that a server has written. */
async function damage(stateDir: string): Promise<{ readonly audit: string; readonly newer: string }> {
  const catalog = path.join(stateDir, 'catalog');
  for (const name of await readdir(catalog)) {
    const text = await readFile(path.join(catalog, name), 'utf8');
    const damaged = name.startsWith('catalog-') ? text.slice(0, text.length / 2) : text.replace('"version":"', '$&9');
    expect(damaged).not.toBe(text);
    await writeFile(path.join(catalog, name), damaged);
  }
  await appendFile(auditFile(stateDir), '{"time":"cut sho');
  const attachments = path.join(stateDir, 'attachments');
  await mkdir(path.join(attachments, 'folder.json'), { recursive: true, mode: 0o700 });
  await writeFile(path.join(attachments, 'torn.json'), '{"version":1,"id":"to');
  await writeFile(path.join(attachments, 'gone.json'), JSON.stringify(ATTACHMENT), { mode: 0o600 });
  const newer = JSON.stringify({ ...ATTACHMENT, version: 2, id: 'newer' });
  await writeFile(path.join(attachments, 'newer.json'), newer, { mode: 0o600 });
  return { audit: await readFile(auditFile(stateDir), 'utf8'), newer };
}

describe('two servers that share a state folder with damaged files', () => {
  let shared: TestHome;
  let clients: readonly TestClient[];
  let damaged: Awaited<ReturnType<typeof damage>>;
  beforeAll(async () => {
    shared = await createTestHome({ atEnd });
    await cp(home.stateDir, shared.stateDir, { recursive: true });
    damaged = await damage(shared.stateDir);
    clients = await Promise.all([connect({ env: shared.env, atEnd }), connect({ env: shared.env, atEnd })]);
  });

  test('both start and answer, and keep everything that can still be read', async () => {
    for (const client of clients) {
      expect((await client.call('ps', { last: 1 })).facts['outcome']).toBe('done');
      expect((await client.call('attach', { action: 'list' })).facts['attachments']).toMatchObject([{ id: 'gone' }]);
    }
    const attachments = path.join(shared.stateDir, 'attachments');
    expect(await readFile(path.join(attachments, 'newer.json'), 'utf8')).toBe(damaged.newer);
    const aside = (await readdir(attachments)).filter((name) => name.includes('.broken-'));
    expect(aside.map((name) => name.replace(/-\d+$/, ''))).toEqual(['folder.json.broken', 'torn.json.broken']);
  });

  test('change and read concurrently: each change is made once and audited, and no file is damaged', async () => {
    const planned = await Promise.all(
      clients.flatMap((client) => [0, 1].map(async () => ({ client, ...(await plan(shared, client)) }))),
    );
    const reads = clients.flatMap((client) => ['ps', 'fleet', 'offer'].map((tool) => client.call(tool)));
    const applied = await Promise.all(planned.map(({ client, token }) => apply(client, token)));
    expect(applied.map(({ outcome }) => outcome)).toEqual(planned.map(() => 'done'));
    expect((await Promise.all(reads)).map(({ facts }) => facts['outcome'])).toEqual(reads.map(() => 'done'));
    const names = await runNames();
    const audit = await auditLines(shared.stateDir, cutLines(damaged.audit));
    for (const { name } of planned) {
      expect(names.filter((one) => one === name)).toHaveLength(1);
      expect(eventsOf(audit, name)).toEqual(['asked', 'approved', 'done']);
    }
    expect((await readFile(auditFile(shared.stateDir), 'utf8')).startsWith(`${damaged.audit}\n`)).toBe(true);
    const catalog = path.join(shared.stateDir, 'catalog');
    const caches = await readdir(catalog);
    expect(new Set(caches.map((name) => name.replace(/[0-9a-f]{16}/, '*')))).toEqual(
      new Set(['catalog-*.json', 'identity-*.json']),
    );
    for (const name of caches) expect(await readFile(path.join(catalog, name), 'utf8')).toContain('"version":"0.');
  });

  test('redeem a token of either once, however many try at the same time', async () => {
    const [one] = clients;
    if (one === undefined) throw new Error('a server is needed');
    const { name, token } = await plan(shared, one);
    const results = await Promise.all(clients.map((client) => apply(client, token)));
    expect(results.map(({ outcome, code }) => String(code ?? outcome)).toSorted()).toEqual([
      'done',
      ...clients.slice(1).map(() => 'token-used'),
    ]);
    expect((await runNames()).filter((run) => run === name)).toHaveLength(1);
  });
});
