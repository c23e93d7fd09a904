import { expect, test } from 'vitest';
import { connect } from '../support/connect.ts';
import { residentBytes } from '../support/processes.ts';
import { createTestHome } from '../support/test-home.ts';

const MEGABYTE = 1_000_000;
test('memory stays bounded over two hundred calls', async () => {
  const home = await createTestHome();
  const client = await connect({ env: home.env });
  for (let round = 0; round < 20; round += 1) {
    const reads = [client.call('ps', { all: true }), client.call('offer')];
    const pages = ['apply', 'offer', 'logs', 'fleet get', 'ps', 'event', 'run get', 'stop'];
    const answers = await Promise.all([...reads, ...pages.map((command) => client.call('help', { command }))]);
    expect(answers.map(({ facts }) => facts['outcome'])).toEqual(answers.map(() => 'done'));
  }
  expect(await residentBytes(client.pid)).toBeLessThan(150 * MEGABYTE);
});
