import { expect, test } from 'vitest';
import type { ConsentLevel } from '../../../../src/core/change.ts';
import { combineRequirements, isEnough } from '../../../../src/safety/policy/requirement.ts';
import type { Requirement } from '../../../../src/safety/policy/requirement.ts';

test.each<['ask' | 'person' | 'token', Requirement | undefined, Requirement]>([
  ['ask', undefined, 'ask'],
  ['person', undefined, 'person'],
  ['token', undefined, 'token'],
  ['ask', 'person', 'person'],
  ['ask', 'token', 'token'],
  ['ask', 'allow', 'allow'],
  ['token', 'person', 'person'],
  ['token', 'ask', 'ask'],
  ['person', 'token', 'person'],
  ['person', 'ask', 'person'],
  ['person', 'allow', 'allow'],
])('the setting %s and the policy %s require %s', (setting, policy, expected) => {
  expect(combineRequirements(setting, policy)).toBe(expected);
});

test.each<[ConsentLevel, Requirement, boolean]>([
  ['person-card', 'person', true],
  ['person-form', 'person', true],
  ['person-dialog', 'person', true],
  ['token', 'person', false],
  ['policy', 'person', false],
  ['token', 'ask', true],
  ['policy', 'ask', false],
  ['token', 'token', true],
  ['policy', 'token', false],
  ['policy', 'allow', true],
  ['token', 'allow', true],
])('approval by %s satisfies %s: %s', (level, requirement, expected) => {
  expect(isEnough(level, requirement)).toBe(expected);
});
