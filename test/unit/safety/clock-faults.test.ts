import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { createAttachmentStore } from '../../../src/attachments/attachment-store.ts';
import { createAttachments } from '../../../src/attachments/attachments.ts';
import { withLock } from '../../../src/core/exclusive-lock.mjs';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { createAuditLog, auditEntry } from '../../../src/safety/audit/audit-log.ts';
import type { PendingChange } from '../../../src/core/change.ts';
import { createRetryGuard } from '../../../src/dstack/client/retry-guard.ts';
import { createMonotonicClock } from '../../../src/core/waiting.ts';
import { silentLog } from '../../support/recorded-catalog.ts';
import { pendingChange } from '../../support/pending-change.ts';
import { TestGate, ask, refusal } from '../../support/set-up-gate.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'dstack-mcp-clock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const namesIn = async (place: string): Promise<readonly string[]> => (await readdir(place)).sort();

describe('when the clock', () => {
  const HOUR = 3_600_000;
  const jump = (wallMs: number, passedMs = 0): void => {
    const [wall, passed] = [Date.now(), performance.now()];
    vi.spyOn(Date, 'now').mockReturnValue(wall + wallMs);
    vi.spyOn(performance, 'now').mockReturnValue(passed + passedMs);
  };

  test('is set back or forward, or the computer sleeps, the monotonic clock follows the faster of the two times', () => {
    let [wall, passed] = [1_000_000, 500];
    const now = createMonotonicClock(
      () => wall,
      () => passed,
    );
    const step = (wallMs: number, passedMs: number): number => {
      [wall, passed] = [wall + wallMs, passed + passedMs];
      return now();
    };
    expect(step(10, 10)).toBe(1_000_010);
    expect(step(-HOUR, 10)).toBe(1_000_020);
    expect(step(5, 5)).toBe(1_000_025);
    expect(step(2 * HOUR, 0)).toBe(1_000_015 + HOUR);
    expect(step(0, HOUR)).toBe(1_000_015 + 2 * HOUR);
  });

  test.each([
    ['is set back', -HOUR, 10 * 60_000],
    ['advances while the computer sleeps', 10 * 60_000, 0],
  ])('%s, a token lives no longer than ten minutes', async (_what, wallMs, passedMs) => {
    jump(0);
    // With the machine's own clocks.
    const gate = new TestGate({ policy: { requirementFor: () => 'ask' }, audit: { write: () => undefined } });
    const { token } = gate.mint(pendingChange());
    jump(wallMs, passedMs);
    const steps = {
      replan: (shown: PendingChange) => Promise.resolve(shown),
      execute: () => Promise.reject(new Error('it must not be executed')),
    };
    expect(await refusal(gate.redeem(token, ask(), steps))).toMatchObject({ code: 'token-expired' });
  });

  test('is set in either direction, a failed call is refused as long as before', () => {
    const guard = createRetryGuard();
    guard.record('get', { message: 'no such run', hint: 'ps', transient: false });
    jump(-24 * HOUR, 10 * 60_000 - 60_000);
    expect(() => guard.assertMayRun('get')).toThrow(expect.objectContaining({ code: 'retry-refused' }));
    jump(24 * HOUR, 60_000);
    expect(() => guard.assertMayRun('get')).not.toThrow();
  });

  test('is set back, the newest lines of the audit log are kept, not the oldest', async () => {
    let year = 2030;
    const audit = createAuditLog({
      folder,
      redact: (text) => text,
      maxBytes: 1,
      keepFiles: 3,
      now: () => new Date(Date.UTC(year, 0, 1)),
    });
    const write = (id: string): void => audit.write(auditEntry(id, pendingChange(), { event: 'approved' }));
    for (const id of ['a', 'b', 'c']) write(id);
    year = 2026;
    for (const id of ['d', 'e']) write(id);
    const texts = await Promise.all((await namesIn(folder)).map((name) => readFile(path.join(folder, name), 'utf8')));
    expect(texts.map((text): unknown => JSON.parse(text).id)).toEqual(['c', 'd', 'e']);
  });

  test('is set back, a lock does not wait longer', async () => {
    const lock = path.join(folder, 'web.lock');
    const self = await lookUpProcess(process.pid);
    await writeFile(lock, JSON.stringify({ pid: process.pid, startedAt: self?.startedAt }));
    let wall = Date.now();
    vi.spyOn(Date, 'now').mockImplementation(() => (wall -= HOUR));
    expect(await withLock(lock, { deadlineMs: 200 }, () => Promise.resolve('taken'))).toBeUndefined();
    expect(await namesIn(folder)).toEqual(['web.lock']);
  });

  test('is set back, an attachment that ended in the future is still shown', async () => {
    const store = createAttachmentStore(folder, silentLog);
    const ended = new Date(Date.now() + 24 * HOUR).toISOString();
    await store.write({
      version: 1,
      id: 'web',
      run: 'web',
      argv: ['attach'],
      marker: 'x',
      createdAt: ended,
      endedAt: ended,
    });
    const attachments = createAttachments({
      stateDir: folder,
      executable: () => Promise.resolve('/bin/false'),
      env: {},
      log: silentLog,
    });
    onTestFinished(() => attachments.close());
    expect(await attachments.list()).toMatchObject([{ id: 'web', state: { kind: 'ended' } }]);
  });
});
