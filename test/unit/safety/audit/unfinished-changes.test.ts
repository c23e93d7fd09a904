import { appendFileSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { withLock } from '../../../../src/core/exclusive-lock.mjs';
import { auditEntry, createAuditLog } from '../../../../src/safety/audit/audit-log.ts';
import type { AuditEntry } from '../../../../src/safety/audit/audit-log.ts';
import { describeUnfinished, UnfinishedChanges } from '../../../../src/safety/audit/unfinished-changes.ts';
import { pendingChange } from '../../../support/pending-change.ts';
import { emptyFolder } from '../../../support/temporary-folders.ts';

const NOW = Date.parse('2026-01-02T12:00:00Z');
const HOUR = 60 * 60_000;

/** An audit log, and servers on its folder. The process of the log runs until `end`. */
function setUp({ maxBytes }: { maxBytes?: number } = {}) {
  const folder = path.join(emptyFolder(), 'audit');
  let nowMs = NOW;
  const log = createAuditLog({ folder, redact: (text) => text, maxBytes, now: () => new Date(nowMs) });
  let startedAt: string | undefined = 'boot/1';
  const write = (event: AuditEntry['event'], { id = 'id1', ...more }: Partial<AuditEntry> = {}): void =>
    log.write({
      ...auditEntry(id, pendingChange(), { event, level: 'token' }),
      processStartedAt: 'boot/1',
      ...more,
    });
  return {
    folder,
    write,
    append: (text: string) => appendFileSync(path.join(folder, 'audit.jsonl'), text),
    lines: () => readFileSync(path.join(folder, 'audit.jsonl'), 'utf8').trim().split('\n'),
    /** The process of the log ends; another one may get its id. */
    end: (next?: string) => {
      startedAt = next;
    },
    pass: (ms: number) => {
      nowMs += ms;
    },
    server: () => new UnfinishedChanges({ folder, audit: log, now: () => nowMs, startTimeOf: async () => startedAt }),
  };
}

const idsOf = async (server: UnfinishedChanges): Promise<readonly string[]> =>
  (await server.find()).map(({ entry }) => entry.id);

test('a change without a result is unfinished once its process has ended', async () => {
  const { write, server, end } = setUp();
  write('asked');
  write('approved');
  expect(await server().find()).toEqual([]);
  end();
  expect(await server().find()).toMatchObject([
    { entry: { id: 'id1', resource: { kind: 'task', name: 'train' } }, approvedAt: new Date(NOW) },
  ]);
});

test('a later process with the same id is another process', async () => {
  const { write, server, end } = setUp();
  write('approved');
  end('boot/2');
  expect(await idsOf(server())).toEqual(['id1']);
});

test('a change of a server in another container is unfinished after the longest call', async () => {
  const { write, server, end, pass } = setUp();
  write('approved', { processStartedAt: 'boot/pid:[1]/7' });
  end();
  expect(await idsOf(server())).toEqual([]);
  pass(66 * 60_000);
  expect(await idsOf(server())).toEqual(['id1']);
});

test('without the start of a process, its id has to be free', async () => {
  const { write, server, end } = setUp();
  write('approved', { processStartedAt: undefined });
  end('boot/2');
  expect(await idsOf(server())).toEqual([]);
  end();
  expect(await idsOf(server())).toEqual(['id1']);
});

test('a change that was refused, or has a result, is not unfinished', async () => {
  const { write, server, end } = setUp();
  write('asked', { id: 'refused' });
  write('refused', { id: 'refused' });
  write('approved', { id: 'done' });
  write('done', { id: 'done', outcome: 'failed' });
  end();
  expect(await server().find()).toEqual([]);
});

test('after a day, a change is history', async () => {
  const { write, server, end, pass } = setUp();
  write('approved');
  end();
  pass(24 * HOUR);
  expect(await idsOf(server())).toEqual(['id1']);
  pass(1);
  expect(await idsOf(server())).toEqual([]);
});

test('a file that was full in between is read, too', async () => {
  const { write, server, end } = setUp({ maxBytes: 1 });
  write('approved');
  end();
  expect(await idsOf(server())).toEqual(['id1']);
});

test('of the full files, only the newest is read: older ones are history', async () => {
  const { write, server, end, pass } = setUp({ maxBytes: 1 });
  write('approved', { id: 'older' });
  pass(1);
  write('approved', { id: 'newer' });
  end();
  expect(await idsOf(server())).toEqual(['newer']);
});

test('a change of a resource without a name is described as such', () => {
  const resource = { kind: 'fleet' };
  const entry = { ...auditEntry('id1', pendingChange(), { event: 'approved' }), resource };
  expect(describeUnfinished({ entry, approvedAt: new Date(NOW) })).toMatch(/^create fleet without a name in project/);
});

test.each(['{"event":"approved"', '{"event":"approved","id":7}', '\0\0\0"event":"done"', 'null', ''])(
  'a line that was damaged hides no other: %s',
  async (line) => {
    const { write, append, server, end } = setUp();
    write('approved');
    append(`${line}\n`);
    end();
    expect(await idsOf(server())).toEqual(['id1']);
  },
);

test('no log is nothing to report', async () => {
  const unfinished = setUp().server();
  expect(await unfinished.find()).toEqual([]);
  await unfinished.close(async () => 'It is running.');
  expect(unfinished.takeNotes()).toEqual([]);
});

test('it is reported once, with what is known by now, and closed in the log', async () => {
  const { write, server, lines, end } = setUp();
  write('approved');
  end();
  const first = server();
  await first.close(async ({ entry }) => `The ${entry.resource.name} is running.`);
  expect(first.takeNotes()).toEqual([
    'An earlier server of yours ended while it made a change, whose result is unknown: create task train in project main, approved at 2026-01-02T12:00:00.000Z. The train is running.',
  ]);
  expect(first.takeNotes()).toEqual([]);
  expect(JSON.parse(lines().at(-1) ?? '')).toMatchObject({
    id: 'id1',
    event: 'done',
    outcome: 'unknown',
    why: 'the server ended before it knew the result. The train is running.',
    level: 'token',
    pid: process.pid,
  });
  expect(await server().find()).toEqual([]);
});

test('of several servers, one reports it', async () => {
  const { write, server, lines, end } = setUp();
  write('approved');
  end();
  const servers = [server(), server(), server()];
  let lookUps = 0;
  const describeState = async (): Promise<string> => {
    lookUps += 1;
    return 'It is running.';
  };
  await Promise.all(servers.map((each) => each.close(describeState)));
  expect(servers.flatMap((each) => each.takeNotes())).toHaveLength(1);
  expect(lookUps).toBe(1);
  expect(lines()).toHaveLength(2);
});

test('while another server holds the lock, that one reports it', async () => {
  const { folder, write, server, end } = setUp();
  write('approved');
  end();
  const late = server();
  await withLock(path.join(folder, 'unfinished.lock'), { deadlineMs: 0 }, () =>
    late.close(async () => 'It is running.'),
  );
  expect(late.takeNotes()).toEqual([]);
  expect(await idsOf(server())).toEqual(['id1']);
});

test('what can be neither looked up nor written is left for the next server', async () => {
  const { write, server, end } = setUp();
  write('approved');
  end();
  const first = server();
  await first.close(() => Promise.reject(new Error('no dstack')));
  expect(first.takeNotes()).toEqual([]);
  const next = server();
  await next.close(async () => 'It is running.');
  expect(next.takeNotes()).toHaveLength(1);
});
