import { expect, test } from 'vitest';
import { chooseWorker, fitEnvironment } from '../../../../src/dstack/warm/service.ts';

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

const INFO = { bakedAtImport: ['DSTACK_LOG_*', 'HOME'], bakedAtPark: ['COLUMNS', 'DSTACK_PROJECT'] };
const BASE = { HOME: '/home/x', COLUMNS: '80' };
const fit = (wanted: Readonly<Record<string, string>>) => fitEnvironment(INFO, BASE, wanted);

test('the worker serves a command with its own variables, and with others that are read later', () => {
  expect(fit({})).toEqual({ kind: 'parked', changed: {} });
  expect(fit({ HOME: '/home/x', HF_TOKEN: 'x' })).toEqual({ kind: 'parked', changed: { HF_TOKEN: 'x' } });
});

test.each(['HOME', 'DSTACK_LOG_LEVEL'])('%s is read on import: only a new process reads it again', (name) => {
  expect(fit({ [name]: 'other', HF_TOKEN: 'x' })).toEqual({ kind: 'differs', name });
});

test('on Windows, the names of variables are compared without their case', () => {
  const on = (platform: NodeJS.Platform, wanted: Readonly<Record<string, string>>) =>
    fitEnvironment({ bakedAtImport: ['PATH'], bakedAtPark: [] }, { Path: 'x' }, wanted, platform);
  expect(on('win32', { PATH: 'x' })).toEqual({ kind: 'parked', changed: {} });
  expect(on('win32', { path: 'y' })).toEqual({ kind: 'differs', name: 'PATH' });
  expect(on('linux', { path: 'y' })).toEqual({ kind: 'parked', changed: { path: 'y' } });
});

test('a variable that is part of the parsers needs new parsers', () => {
  expect(fit({ DSTACK_PROJECT: 'lab' })).toEqual({ kind: 'shallow', changed: { DSTACK_PROJECT: 'lab' } });
});

test.each([
  ['120', 'parked'],
  ['60', 'parked'],
  ['59', 'shallow'],
  ['', 'shallow'],
  ['wide', 'shallow'],
])('a width of "%s" needs parsers that are %s', (COLUMNS, kind) => {
  expect(fit({ COLUMNS })).toMatchObject({ kind });
});
