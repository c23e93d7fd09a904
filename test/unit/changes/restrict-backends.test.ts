import { expect, test } from 'vitest';
import { restrictBackends } from '../../../src/changes/restrict-backends.ts';

const allowed = { backends: ['aws', 'runpod'], regions: undefined };

test('the allowed backends are passed to dstack if none were requested', () => {
  expect(restrictBackends(allowed, {}, { '--spot': true })).toEqual({
    flags: { '--backend': ['aws', 'runpod'] },
    extraFlags: { '--spot': true },
  });
});

test('what the call asks for is narrowed to what is allowed, and handed on once', () => {
  expect(restrictBackends(allowed, { backends: ['gcp'] }, { '--backend': ['runpod', 'gcp'] })).toEqual({
    flags: { '--backend': ['runpod'] },
    extraFlags: {},
  });
});

test('what the file asks for is narrowed as well, since the flag overrides it', () => {
  expect(restrictBackends(allowed, { backends: ['aws', 'gcp'] }, {}).flags).toEqual({ '--backend': ['aws'] });
});

test('where nothing that was asked for is allowed, nothing is planned', () => {
  expect(() => restrictBackends(allowed, { backends: ['gcp'] }, {})).toThrow(
    expect.objectContaining({ code: 'policy' }),
  );
});

test('patterns stay with the check of the offers', () => {
  expect(restrictBackends({ backends: undefined, regions: ['eu-*'] }, {}, { '--region': ['us-1'] })).toEqual({
    flags: {},
    extraFlags: { '--region': ['us-1'] },
  });
});
