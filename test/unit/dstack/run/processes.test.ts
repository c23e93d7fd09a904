import { expect, test } from 'vitest';
import { toGroupOrder } from '../../../../src/dstack/run/processes.ts';

test.each(['linux', 'darwin'] as const)('on %s, the whole group gets the signal', (platform) => {
  expect(toGroupOrder(4321, 'SIGTERM', platform)).toEqual({ kind: 'signal', target: -4321 });
});

test('on Windows, a signal that ends a process kills it with those that it started', () => {
  const file = 'C:\\Windows\\System32\\taskkill.exe';
  const tree = { kind: 'kill-tree', file, argv: ['/pid', '4321', '/T', '/F'] };
  for (const signal of ['SIGTERM', 'SIGKILL', 'SIGINT'] as const)
    expect(toGroupOrder(4321, signal, 'win32')).toEqual(tree);
  expect(toGroupOrder(4321, 'SIGCONT', 'win32')).toEqual({ kind: 'nothing' });
});

test.each([0, 1, -1, Number.NaN])('a process with the ID %d is never signalled', (pid) => {
  for (const platform of ['linux', 'win32'] as const)
    expect(toGroupOrder(pid, 'SIGKILL', platform)).toEqual({ kind: 'nothing' });
});
