import { describe, expect, test } from 'vitest';
import { processesIn } from '../../support/processes.ts';
import { INITIALIZE, startRawServer } from '../../support/raw-server.ts';
import type { RawServer } from '../../support/raw-server.ts';
import { createTestHome } from '../../support/test-home.ts';
import type { TestHome } from '../../support/test-home.ts';
import { until } from '../../support/wait.ts';
import { answered, answersTo, nobodyLeft, ps, startInitialized } from '../../support/initialized-server.ts';

describe('a client that', () => {
  test('sends eleven megabytes in one line: the server exits with the reason, instead of hanging', async () => {
    const { home, server } = await startInitialized();
    server.request(2, 'tools/call', { name: 'ps', arguments: { project: 'x'.repeat(11_000_000) } });
    expect(await server.ended).toEqual({ code: 0, signal: null });
    expect(server.stderr()).toMatch(/exceeded maximum size/);
    await nobodyLeft(home);
  });

  test('sends nine megabytes in one line: refused with a short message, and the next request is answered', async () => {
    const { server } = await startInitialized();
    server.request(2, 'tools/call', { name: 'ps', arguments: { project: 'x'.repeat(9_000_000) } });
    server.request(3, 'tools/call', ps);
    await answered(server, 3);
    expect(answersTo(server, 2)).toMatchObject([{ result: { structuredContent: { outcome: 'refused' } } }]);
    expect(server.stdout().length).toBeLessThan(100_000);
  });

  test('uses an id twice at the same time: both are answered, and the server continues', async () => {
    const { server } = await startInitialized();
    server.request(2, 'tools/call', ps);
    server.request(2, 'tools/list');
    await answered(server, 2);
    server.request(3, 'ping');
    await answered(server, 3);
    expect(answersTo(server, 3)).toHaveLength(1);
  });

  test('sends five hundred requests at once: each is answered once, with its result or with busy', async () => {
    const { home, server } = await startInitialized();
    const ids = Array.from({ length: 500 }, (_, index) => index + 10);
    for (const id of ids)
      server.request(id, 'tools/call', id % 5 === 0 ? ps : { name: 'help', arguments: { command: 'apply' } });
    await until(
      () => Promise.resolve(server.messages()),
      (messages) => messages.length >= ids.length + 1,
    );
    const counts = ids.map((id) => answersTo(server, id).length);
    expect(counts).toEqual(ids.map(() => 1));
    server.endInput();
    expect(await server.ended).toEqual({ code: 0, signal: null });
    await nobodyLeft(home);
  });

  test('sends notifications about unknown requests: they are ignored', async () => {
    const { server } = await startInitialized();
    server.notify('notifications/cancelled', { requestId: 999, reason: 'never sent' });
    server.notify('notifications/progress', { progressToken: 'nobody', progress: 1 });
    server.notify('notifications/no-such-thing', { a: 1 });
    server.notify('notifications/cancelled', {});
    server.write('{"jsonrpc":"2.0","id":77,"result":{}}\n');
    server.request(2, 'tools/call', ps);
    await answered(server, 2);
    expect(server.messages().map(({ id }) => id)).toEqual([1, 2]);
  });
});

describe('SIGTERM', () => {
  const phases: readonly (readonly [string, (server: RawServer, home: TestHome) => Promise<unknown>])[] = [
    ['before a word was said', () => Promise.resolve()],
    ['while it answers the first request', (server) => Promise.resolve(server.request(1, 'initialize', INITIALIZE))],
    [
      'while dstack is looked for',
      async (server) => {
        server.request(1, 'initialize', INITIALIZE);
        await answered(server, 1);
      },
    ],
    [
      'while a call is at work',
      async (server, home) => {
        server.request(1, 'initialize', INITIALIZE);
        server.request(2, 'tools/call', ps);
        await until(
          () => processesIn(home.home),
          (found) => found.length > 1,
        );
      },
    ],
    [
      'when all is quiet',
      async (server) => {
        server.request(1, 'initialize', INITIALIZE);
        server.request(2, 'tools/call', ps);
        await answered(server, 2);
      },
    ],
  ];
  test.each(phases)('%s: the server exits, and no process is left', async (_when, reach) => {
    const home = await createTestHome();
    const server = startRawServer(home.env);
    await reach(server, home);
    server.signal('SIGTERM');
    const { code, signal } = await server.ended;
    // Until it handles signals, the system kills it.
    expect(code ?? signal).toBeOneOf([143, 'SIGTERM']);
    await nobodyLeft(home);
  });
});
