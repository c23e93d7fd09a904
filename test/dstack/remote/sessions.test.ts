import { describe, expect, test } from 'vitest';
import { promiseWithResolvers } from '../../../src/core/waiting.ts';
import { lookUpProcess } from '../../../src/dstack/run/processes.ts';
import { RemoteSessions } from '../../../src/remote/sessions.ts';
import type { RemotePlace } from '../../../src/remote/sessions.ts';
import { runCommand } from '../../../src/remote/run-command.ts';
import { silentLog } from '../../support/recorded-catalog.ts';
import { RealSshd, whyNoSshd } from '../../support/real-sshd.ts';
import { until } from '../../support/wait.ts';

const place = { server: 'http://127.0.0.1:3000', project: 'main', run: 'dev' };
const run = { name: 'dev', id: 'r1', status: 'running', isFinished: false, jobs: [] };

describe.skipIf(whyNoSshd !== undefined)('a session', () => {
  const sshd = new RealSshd();

  /** Opens sessions over the attachment `dev@main`, whose end is counted. */
  function open(idleMs?: number) {
    const released: string[] = [];
    const sessions = new RemoteSessions({
      attachments: { release: async (id) => void released.push(id) },
      ssh: sshd.connection.ssh,
      log: silentLog,
      ...(idleMs === undefined ? {} : { idleMs }),
    });
    const add = async (id = 'dev@main', where: RemotePlace = place) => {
      const pid = await sshd.masterPid();
      const master = { pid, startedAt: (await lookUpProcess(pid))?.startedAt ?? '' };
      const tunnel = { controlSocket: sshd.connection.controlSocket, destination: 'root@dev', master, owned: true };
      const connection = { replica: 0, job: 0, ports: [], reusedTunnel: false, tunnel };
      const view = { command: 'dstack attach dev', startedAt: '', outputFile: '' };
      const output = { dstackOutput: '', jobOutput: '' };
      const state = { kind: 'attached', connection } as const;
      const session = sessions.add(where, run, {
        attachment: { id, run: 'dev', ...view, ...output, state },
        started: true,
      });
      if (session === undefined) throw new Error('no session');
      return session;
    };
    return { sessions, add, released };
  }

  test('is found while its connection exists, by its server, project, run and job', async () => {
    const { sessions, add } = open();
    const session = await add();
    expect(await sessions.find(place)).toBe(session);
    expect(await sessions.find({ ...place, server: 'http://127.0.0.1:3001' })).toBeUndefined();
    expect(await sessions.find({ ...place, project: 'other' })).toBeUndefined();
    expect(await sessions.find({ ...place, replica: 1 })).toBeUndefined();
    await sessions.close();
  });

  test('is not found once its connection has dropped, and releases its attachment', async () => {
    const { sessions, add, released } = open();
    await add();
    await sshd.dropConnection();
    expect(await sessions.find(place)).toBeUndefined();
    expect(released).toEqual(['dev@main']);
    await sshd.openMaster();
    const again = await add();
    const signal = new AbortController().signal;
    const { stdout } = await runCommand(again.shell, { command: 'echo up' }, { timeoutMs: 60_000, signal });
    expect(stdout.text).toBe('up\n');
    await sessions.close();
  });

  test('ends when it is idle, but not while it is used', async () => {
    const { sessions, add, released } = open(1);
    const session = await add();
    await sessions.use(session, async () => {
      const other = open(1);
      await other.add();
      // Its timer is later than the one of the session that is used.
      await until(
        async () => other.released.length,
        (count) => count === 1,
      );
      expect(released).toEqual([]);
    });
    await until(
      async () => released.length,
      (count) => count === 1,
    );
    expect(await sessions.find(place)).toBeUndefined();
  });

  test('of a former deployment is dropped, unless a program uses it', async () => {
    const { sessions, add, released } = open();
    const session = await add();
    await sessions.use(session, () => sessions.dropUnused(session));
    expect([await sessions.find(place), released]).toEqual([session, []]);
    await sessions.dropUnused(session);
    expect([await sessions.find(place), released]).toEqual([undefined, ['dev@main']]);
  });

  test('is used by a bounded number of programs at once', async () => {
    const { sessions, add } = open();
    const session = await add();
    const stop = promiseWithResolvers<undefined>();
    const used = Array.from({ length: 8 }, () => sessions.use(session, () => stop.promise));
    await expect(sessions.use(session, async () => 1)).rejects.toMatchObject({ code: 'busy' });
    stop.resolve(undefined);
    await Promise.all(used);
    expect(await sessions.use(session, async () => 1)).toBe(1);
    await sessions.close();
  });

  test('with the attachment of another one leaves it to the last of them', async () => {
    const { sessions, add, released } = open();
    const first = await add();
    const second = await add('dev@main', { ...place, job: 0 });
    await sessions.drop(first);
    expect(released).toEqual([]);
    await sessions.drop(second);
    expect(released).toEqual(['dev@main']);
  });
});
