import { expect, test } from 'vitest';
import { limitPlaces } from '../../src/powers/limit-places.ts';

const allowed = { backends: ['aws', 'runpod'], regions: undefined };

test('dstack is told the allowed backends where nothing was asked for', () => {
  expect(limitPlaces(allowed, {}, { '--spot': true })).toEqual({
    flags: { '--backend': ['aws', 'runpod'] },
    extraFlags: { '--spot': true },
  });
});

test('what the call asks for is narrowed to what is allowed, and handed on once', () => {
  expect(limitPlaces(allowed, { backends: ['gcp'] }, { '--backend': ['runpod', 'gcp'] })).toEqual({
    flags: { '--backend': ['runpod'] },
    extraFlags: {},
  });
});

test('what the file asks for is narrowed as well, since the flag overrides it', () => {
  expect(limitPlaces(allowed, { backends: ['aws', 'gcp'] }, {}).flags).toEqual({ '--backend': ['aws'] });
});

test('where nothing that was asked for is allowed, nothing is planned', () => {
  expect(() => limitPlaces(allowed, { backends: ['gcp'] }, {})).toThrow(expect.objectContaining({ code: 'policy' }));
});

test('patterns stay with the check of the offers', () => {
  expect(limitPlaces({ backends: undefined, regions: ['eu-*'] }, {}, { '--region': ['us-1'] })).toEqual({
    flags: {},
    extraFlags: { '--region': ['us-1'] },
  });
});
