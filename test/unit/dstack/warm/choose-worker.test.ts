import { expect, test } from 'vitest';
import { chooseWorker } from '../../../../src/dstack/warm/service.ts';

const script = { path: '/bin/dstack', interpreter: '/bin/python3', tried: [] };

test.each([
  ['linux', 'on', 'fork'],
  ['linux', 'spare', 'spare'],
  ['darwin', 'on', 'spare'],
  ['win32', 'on', 'spare'],
] as const)('on %s with DSTACK_MCP_WARM=%s: %s', (platform, mode, kind) => {
  expect(chooseWorker({ platform, mode, executable: script })).toEqual({ kind });
});

test('nothing is kept warm if that is turned off, or if dstack is not a Python script', () => {
  const off = { kind: 'none', why: 'it is turned off' };
  expect(chooseWorker({ platform: 'linux', mode: 'off', executable: script })).toEqual(off);
  expect(
    chooseWorker({
      platform: 'linux',
      mode: 'spare',
      executable: { path: '/x', notPython: 'it is a program', tried: [] },
    }),
  ).toEqual({
    kind: 'none',
    why: 'no Python script is known: /x: it is a program',
  });
});
