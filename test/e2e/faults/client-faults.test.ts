import { describe, expect, test } from 'vitest';
import { runNames } from '../../support/ask-server.ts';
import { connect } from '../../support/connect.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import { answered, answersTo, nobodyLeft, ps, startInitialized } from '../../support/initialized-server.ts';
import { previewAndStop } from '../../support/wait.ts';

describe('a client that', () => {
  test('stops reading, but stays connected: no answer reaches it, and the server exits', async () => {
    const { home, server } = await startInitialized();
    server.closeOutput();
    server.request(2, 'tools/call', ps);
    expect(await server.ended).toMatchObject({ signal: null });
    await nobodyLeft(home);
  });

  test('stops reading and disconnects during a call: the call ends, and no process is left', async () => {
    const { home, server } = await startInitialized();
    server.request(2, 'tools/call', ps);
    await answered(server, 2);
    server.request(3, 'tools/call', { name: 'offer', arguments: {} });
    server.closeOutput();
    server.endInput();
    expect(await server.ended).toEqual({ code: 0, signal: null });
    await nobodyLeft(home);
  });

  test('cancels at any moment: that call is dropped, and the next is answered correctly', async () => {
    const { home, server } = await startInitialized();
    await home.write('cancel.dstack.yml', task(uniqueName('cancel')));
    const calls = [ps, { name: 'plan', arguments: { file: 'cancel.dstack.yml' } }, { name: 'offer', arguments: {} }];
    for (let id = 10; id < 40; id += 1) {
      server.request(id, 'tools/call', calls[id % calls.length]);
      // The number says how many other messages are between the request and its cancellation.
      for (let n = 0; n < id % 7; n += 1) server.request(1_000 + id * 10 + n, 'ping');
      if (id % 7 > 0) await answered(server, 1_000 + id * 10);
      server.notify('notifications/cancelled', { requestId: id });
    }
    server.request(2, 'tools/call', ps);
    await answered(server, 2);
    expect(answersTo(server, 2)).toMatchObject([{ result: { structuredContent: { outcome: 'done' } } }]);
    for (let id = 10; id < 40; id += 1) expect(answersTo(server, id).length).toBeLessThanOrEqual(1);
  });
});

test('an apply that is cancelled while it plans again: nothing is done, and the token stays valid', async () => {
  const home = await createTestHome();
  const client = await connect({ env: home.env });
  const name = uniqueName('cancelled');
  const file = await home.write(`${name}.dstack.yml`, task(name));
  const { token } = (await client.call('plan', { file })).facts;
  const stopping = new AbortController();
  const call = client.call('apply', { token }, { signal: stopping.signal, onProgress: () => stopping.abort() });
  await expect(call).rejects.toThrow(/abort/i);
  expect(await runNames()).not.toContain(name);
  const { facts } = await client.call('apply', { token });
  expect(facts['outcome'], String(facts['summary'])).toBe('done');
  expect((await runNames()).filter((other) => other === name)).toHaveLength(1);
  await previewAndStop(client, name);
});
