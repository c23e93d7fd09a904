import { mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import * as fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import type { ConsentLevel } from '../../../../src/core/change.ts';
import { ToolError } from '../../../../src/core/errors.ts';
import { matchesPlace, ruleOn } from '../../../../src/safety/policy/policy-rules.ts';
import type { WantedResource } from '../../../../src/safety/policy/policy-rules.ts';
import { createPolicyWatch } from '../../../../src/safety/policy/policy-watch.ts';
import type { PolicyWatchOptions } from '../../../../src/safety/policy/policy-watch.ts';
import {
  combineRequirements,
  isEnough,
  parsePolicy,
  policyJsonSchema,
  policySchema,
} from '../../../../src/safety/policy/policy.ts';
import type { Requirement } from '../../../../src/safety/policy/policy.ts';
import { inRepository } from '../../../support/paths.ts';
import { pendingChange } from '../../../support/pending-change.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'policy-'));
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
function policyFile(text: string): string {
  files += 1;
  const file = path.join(folder, `policy-${files}.yml`);
  writeFileSync(file, text);
  return file;
}

const watch = (text: string | undefined, more: Partial<PolicyWatchOptions> = {}) =>
  createPolicyWatch({
    policy: text === undefined ? undefined : policyFile(text),
    readOnly: false,
    confirm: 'ask',
    maxPrice: undefined,
    ...more,
  });

function refusalOf(act: () => unknown): ToolError | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    if (error instanceof ToolError) return error;
    throw error;
  }
}

test.each<[string, string, RegExp]>([
  ['an unknown key', 'max_prize: 5', /max_prize/],
  ['a nested unknown key', 'consent:\n  remove: ask', /remove/],
  ['a string instead of a number', 'max_price: "5"', /max_price/],
  ['a negative cap', 'max_price: -1', /max_price/],
  ['a value that is not a number', 'max_price: .nan', /max_price/],
  ['an infinite cap', 'max_price: .inf', /max_price/],
  ['an empty list, which could mean no limit or nothing allowed', 'backends: []', /backends/],
  ['an empty file', '', /the file/],
  ['a list', '- max_price: 5', /the file/],
  ['an unknown level', 'consent:\n  create: yes', /create/],
  ['a duplicate key', 'max_price: 5\nmax_price: 500', /unique/i],
  ['broken YAML', 'max_price: [', /policy/],
  ['aliases that explode', bomb(), /alias/i],
  ['a tag', 'max_price: !!js/function "5"', /tag/i],
  ['a flag that is not long', 'flags: ["-y"]', /flags/],
  ['an unknown type', 'types: [job]', /types/],
])('a policy with %s is refused', (_what, text, words) => {
  const error = refusalOf(() => parsePolicy(text, 'policy.yml'));
  expect(error).toMatchObject({ code: 'policy-broken', message: expect.stringMatching(words) });
});

function bomb(): string {
  const lines = ['a: &a [x,x,x,x,x,x,x,x,x]'];
  for (const [before, name] of [
    ['a', 'b'],
    ['b', 'c'],
    ['c', 'd'],
    ['d', 'e'],
    ['e', 'f'],
    ['f', 'g'],
  ] as const) {
    lines.push(`${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(',')}]`);
  }
  return lines.join('\n');
}

test('only documented keys are accepted, at every level', () => {
  const known = new Set(Object.keys(policySchema.shape));
  fc.assert(
    fc.property(fc.stringMatching(/^[a-z_]{1,12}$/), (key) => {
      fc.pre(!known.has(key));
      expect(policySchema.safeParse({ [key]: 1 }).success).toBe(false);
      expect(policySchema.safeParse({ max_price: 1, [key]: 1 }).success).toBe(false);
      expect(policySchema.safeParse({ consent: { [key]: 'ask' } }).success).toBe(
        ['create', 'update', 'replace', 'stop', 'abort', 'delete'].includes(key),
      );
    }),
  );
});

test('a missing or invalid policy prevents the start', () => {
  expect(refusalOf(() => watch(undefined, { policy: path.join(folder, 'missing.yml') }))).toMatchObject({
    code: 'policy-broken',
    message: expect.stringContaining('there is no such file'),
  });
  expect(refusalOf(() => watch('max_prize: 1'))).toMatchObject({ code: 'policy-broken' });
});

test.each<[string, (file: string) => void]>([
  ['becomes invalid', (file) => writeFileSync(file, 'max_price: cheap')],
  ['is emptied', (file) => writeFileSync(file, '')],
  ['is removed', (file) => rmSync(file)],
])('a policy that %s while the server runs denies every change until it is valid again', (_what, break_) => {
  const file = policyFile('max_price: 5');
  const policy = watch(undefined, { policy: file });
  break_(file);
  const questions: (() => unknown)[] = [
    () => policy.assertToolAllowed({ name: 'apply', effect: 'change' }),
    () => policy.snapshot().assertResourceAllowed({ kind: 'task', name: 'a', project: 'main', operation: 'create' }),
    () => policy.snapshot().assertBackendsAllowed([{ backend: 'aws' }]),
    () => policy.requirementFor(pendingChange()),
    () => policy.snapshot().caps,
    () => policy.snapshot().limits,
    () => policy.snapshot().allowedFlags,
    () => policy.snapshot(),
  ];
  for (const question of questions) expect(refusalOf(question)).toMatchObject({ code: 'policy-broken' });
  expect(refusalOf(() => policy.assertToolAllowed({ name: 'ps', effect: 'read' }))).toBeUndefined();
  expect(policy.state()).toMatchObject({ kind: 'broken' });
  writeFileSync(file, 'max_price: 7');
  for (const question of questions) expect(refusalOf(question)).toBeUndefined();
  expect(policy.snapshot().caps.maxPrice).toBe(7);
});

test('a snapshot keeps its rules; an edit takes effect with the next snapshot', () => {
  const file = policyFile('{max_price: 9, types: [task], backends: [aws], flags: [--env], consent: {create: person}}');
  const policy = watch(undefined, { policy: file, maxPrice: 8 });
  const before = policy.snapshot();
  writeFileSync(file, '{max_price: 1, max_total: 2, max_active: 3, types: [fleet], regions: [eu-*]}');
  expect(before.caps).toEqual({ maxPrice: 8, maxTotal: undefined, maxActive: undefined });
  expect(before.limits).toEqual({ backends: ['aws'], regions: undefined });
  expect(before.allowedFlags).toEqual(['--env']);
  expect(before.requirementFor(pendingChange())).toBe('person');
  expect(refusalOf(() => before.assertResourceAllowed({ kind: 'task' }))).toBeUndefined();
  expect(refusalOf(() => before.assertResourceAllowed({ kind: 'fleet' }))).toMatchObject({ code: 'policy' });
  expect(refusalOf(() => before.assertBackendsAllowed([{ backend: 'gcp' }]))).toMatchObject({ code: 'policy' });
  const after = policy.snapshot();
  expect(after.caps).toEqual({ maxPrice: 1, maxTotal: 2, maxActive: 3 });
  expect(after.limits).toEqual({ backends: undefined, regions: ['eu-*'] });
  expect(after.allowedFlags).toEqual([]);
  expect(after.requirementFor(pendingChange())).toBe('ask');
  expect(refusalOf(() => after.assertResourceAllowed({ kind: 'fleet' }))).toBeUndefined();
  expect(refusalOf(() => after.assertResourceAllowed({ kind: 'task' }))).toMatchObject({ code: 'policy' });
  expect(refusalOf(() => after.assertBackendsAllowed([{ backend: 'aws', region: 'us-1' }]))).toMatchObject({
    code: 'policy',
  });
  rmSync(file);
  expect(refusalOf(() => before.caps)).toBeUndefined();
});

test('a stricter policy takes effect immediately, even with the size and timestamp of the old one', () => {
  const file = policyFile('max_price: 9');
  utimesSync(file, 1_000, 1_000);
  const policy = watch(undefined, { policy: file });
  expect(policy.snapshot().caps.maxPrice).toBe(9);
  writeFileSync(file, 'max_price: 1');
  utimesSync(file, 1_000, 1_000);
  expect(policy.snapshot().caps.maxPrice).toBe(1);
});

/** A policy, the setting `readOnly`, and whether both together make the server read-only. */
const READ_ONLY: readonly (readonly [string | undefined, boolean, boolean])[] = [
  [undefined, false, false],
  [undefined, true, true],
  ['read_only: true', false, true],
  ['read_only: false', true, true],
  ['read_only: false', false, false],
];

test.each(READ_ONLY)(
  'with the policy %s and the setting %s, a change is refused at the call: %s',
  (text, readOnly, refused) => {
    const policy = watch(text, { readOnly });
    const error = refusalOf(() => policy.assertToolAllowed({ name: 'apply', effect: 'change' }));
    expect(error?.code).toBe(refused ? 'read-only' : undefined);
    expect(refusalOf(() => policy.assertToolAllowed({ name: 'ps', effect: 'read' }))).toBeUndefined();
  },
);

test.each<[string, WantedResource, RegExp | undefined]>([
  ['types: [task]', { kind: 'task' }, undefined],
  ['types: [task]', { kind: 'fleet' }, /allows task, not fleet/],
  ['types: [task]', { kind: 'fleet', operation: 'create', name: 'f', project: 'main' }, /not fleet/],
  ['types: [task]', { kind: 'fleet', operation: 'delete', name: 'f', project: 'main' }, undefined],
  ['projects: [main]', { kind: 'task' }, undefined],
  ['projects: [main]', { kind: 'task', project: 'prod' }, /projects main, not prod/],
  ['projects: [main]', { kind: 'task', project: 'main', operation: 'create' }, undefined],
  ['projects: [main]', { kind: 'task', operation: 'create' }, /not an unknown one/],
  ['projects: ["dev-*"]', { kind: 'task', project: 'dev-a' }, undefined],
  ['projects: ["dev-*"]', { kind: 'task', project: 'xdev-a' }, /not xdev-a/],
  ['operations: [create, stop]', { kind: 'run', name: 'a', operation: 'stop' }, undefined],
  ['operations: [create, stop]', { kind: 'run', name: 'a', operation: 'abort' }, /does not allow the operation abort/],
  ['protected: ["prod-*"]', { kind: 'run', name: 'prod-api', operation: 'stop' }, /prod-api is protected against stop/],
  ['protected: ["prod-*"]', { kind: 'fleet', name: 'PROD-gpu', operation: 'delete' }, /protected/],
  ['protected: ["prod-*"]', { kind: 'service', name: 'prod-api', operation: 'update' }, /protected/],
  ['protected: ["prod-*"]', { kind: 'service', name: 'prod-api', operation: 'replace' }, /protected/],
  ['protected: ["prod-*"]', { kind: 'service', name: 'prod-api', operation: 'create' }, undefined],
  ['protected: ["prod-*"]', { kind: 'run', name: 'train', operation: 'stop' }, undefined],
  ['protected: ["prod-*"]', { kind: 'run', operation: 'stop' }, /without a name/],
  ['protected: ["*-prod"]', { kind: 'run', name: 'a-prod', operation: 'abort' }, /protected/],
  ['protected: ["a*b*c"]', { kind: 'run', name: 'a1b2c', operation: 'abort' }, /protected/],
  ['protected: ["a*b*c"]', { kind: 'run', name: 'a1c2b', operation: 'abort' }, undefined],
  ['protected: ["ab*ba"]', { kind: 'run', name: 'aba', operation: 'abort' }, undefined],
])('the policy "%s" is checked for the resource %o', (text, resource, words) => {
  const error = refusalOf(() => watch(text).snapshot().assertResourceAllowed(resource));
  expect(error?.message ?? '').toMatch(words ?? /^$/);
  expect(error?.code).toBe(words && 'policy');
});

test.each<[string, { backend: string; region?: string }[], RegExp | undefined]>([
  ['max_price: 1', [], undefined],
  ['backends: [aws]', [{ backend: 'aws' }, { backend: 'AWS', region: 'x' }], undefined],
  ['backends: [aws]', [{ backend: 'aws' }, { backend: 'gcp' }], /backends aws, not gcp/],
  ['backends: [aws]', [], /unknown where this would run/],
  ['regions: ["eu-*"]', [{ backend: 'aws', region: 'eu-west-1' }], undefined],
  ['regions: ["eu-*"]', [{ backend: 'aws', region: 'us-east-1' }], /not us-east-1/],
  ['regions: ["eu-*"]', [{ backend: 'aws' }], /not an unknown one/],
])('the policy "%s" is checked for the locations %o', (text, locations, words) => {
  const error = refusalOf(() => watch(text).snapshot().assertBackendsAllowed(locations));
  expect(error?.message ?? '').toMatch(words ?? /^$/);
  expect(error?.code).toBe(words && 'policy');
});

test('the policy sets the required consent of each operation, optionally by price', () => {
  const policy = watch('consent:\n  create: {allow_below: 1, otherwise: person}\n  stop: token\n  delete: person');
  const needs = (operation: Parameters<typeof pendingChange>[0] & object) =>
    policy.requirementFor(pendingChange(operation));
  expect(needs({ operation: 'create', binding: { mostPerHour: 0.99 } })).toBe('allow');
  expect(needs({ operation: 'create', binding: { mostPerHour: 1 } })).toBe('person');
  expect(needs({ operation: 'create', binding: { mostPerHour: null } })).toBe('person');
  expect(needs({ operation: 'create', binding: { mostPerHour: Number.NaN } })).toBe('person');
  expect(needs({ operation: 'create', binding: { mostPerHour: -1 } })).toBe('person');
  expect(needs({ operation: 'stop' })).toBe('token');
  expect(needs({ operation: 'delete' })).toBe('person');
  expect(needs({ operation: 'update' })).toBe('ask');
  expect(watch('max_price: 1', { confirm: 'person' }).requirementFor(pendingChange({ operation: 'stop' }))).toBe(
    'person',
  );
});

test('the lower of two price caps applies', () => {
  expect(watch('max_price: 5', { maxPrice: 3 }).snapshot().caps.maxPrice).toBe(3);
  expect(watch('max_price: 2', { maxPrice: 3 }).snapshot().caps.maxPrice).toBe(2);
  expect(watch('max_price: 0', { maxPrice: 3 }).snapshot().caps.maxPrice).toBe(0);
  expect(watch(undefined, { maxPrice: 3 }).snapshot().caps).toEqual({
    maxPrice: 3,
    maxTotal: undefined,
    maxActive: undefined,
  });
  expect(watch('max_total: 7\nmax_active: 8').snapshot().caps).toEqual({
    maxPrice: undefined,
    maxTotal: 7,
    maxActive: 8,
  });
});

test('limits, flags and the size of the audit log come from the policy', () => {
  const policy = watch('backends: [aws]\nflags: [--env]\naudit: {max_megabytes: 2, keep_files: 3}');
  expect(policy.snapshot().limits).toEqual({ backends: ['aws'], regions: undefined });
  expect(policy.snapshot().allowedFlags).toEqual(['--env']);
  expect(policy.auditLimits()).toEqual({ maxBytes: 2_000_000, keepFiles: 3 });
  expect(policy.state()).toMatchObject({ kind: 'in-force', policy: { backends: ['aws'] } });
  expect(watch(undefined).state()).toEqual({ kind: 'none' });
  expect(watch(undefined).snapshot().allowedFlags).toEqual([]);
});

const docs = inRepository('docs');

test('every key of the policy is documented, and the JSON schema is up to date', () => {
  const undocumented: string[] = [];
  const visit = (node: unknown, where: string): void => {
    if (typeof node !== 'object' || node === null) return;
    const properties =
      'properties' in node && typeof node.properties === 'object' && node.properties !== null ? node.properties : {};
    for (const [key, value] of Object.entries(properties)) {
      if (typeof value !== 'object' || value === null || !('description' in value))
        undocumented.push(`${where}.${key}`);
      visit(value, `${where}.${key}`);
    }
  };
  visit(policyJsonSchema(), 'policy');
  expect(undocumented).toEqual([]);
  expect(JSON.parse(readFileSync(path.join(docs, 'policy.schema.json'), 'utf8'))).toEqual(
    JSON.parse(JSON.stringify(policyJsonSchema())),
  );
});

test.each(readdirSync(path.join(docs, 'policies')))('the example %s is valid and starts a server', (name) => {
  const file = path.join(docs, 'policies', name);
  const text = readFileSync(file, 'utf8');
  expect(text).toContain('yaml-language-server: $schema=../policy.schema.json');
  expect(watch(undefined, { policy: file }).state()).toMatchObject({ kind: 'in-force' });
});

test.each<[string, (policy: ReturnType<typeof watch>) => unknown, string, string, string]>([
  [
    'types: [task, fleet]',
    (policy) => policy.snapshot().assertResourceAllowed({ kind: 'volume' }),
    'policy',
    "The operator's policy forbids this: it allows task, fleet, not volume. Nothing was changed.",
    'Tell the user what the policy says; doctor shows the whole policy.',
  ],
  [
    'projects: [main, dev-*]',
    (policy) => policy.snapshot().assertResourceAllowed({ kind: 'task', project: 'prod' }),
    'policy',
    "The operator's policy forbids this: it allows the projects main, dev-*, not prod. Nothing was changed.",
    'Tell the user what the policy says; doctor shows the whole policy.',
  ],
  [
    'backends: [aws, gcp]',
    (policy) => policy.snapshot().assertBackendsAllowed([{ backend: 'azure' }]),
    'policy',
    "The operator's policy forbids this: it allows the backends aws, gcp, not azure. Nothing was changed.",
    'Narrow the choice to aws, gcp; doctor shows the whole policy.',
  ],
  [
    'regions: [eu-*, uk-*]',
    (policy) => policy.snapshot().assertBackendsAllowed([{ backend: 'aws', region: 'us-1' }]),
    'policy',
    "The operator's policy forbids this: it allows the regions eu-*, uk-*, not us-1. Nothing was changed.",
    'Narrow the choice to eu-*, uk-*; doctor shows the whole policy.',
  ],
  [
    'read_only: true',
    (policy) => policy.assertToolAllowed({ name: 'apply', effect: 'change' }),
    'read-only',
    'This server is read-only, so apply is not available. Nothing was changed.',
    'Tell the user that this server is read-only.',
  ],
])('the refusal for the policy "%s" contains the rule and the next step', (text, act, code, message, hint) => {
  expect(refusalOf(() => act(watch(text)))).toMatchObject({ code, message, hint });
});

test('an invalid policy is refused with every error and with whom to tell', () => {
  const error = refusalOf(() =>
    parsePolicy('max_price: -1\nconsent: {create: maybe}\naudit: {keep_files: 0}', 'p.yml'),
  );
  expect(error?.message).toMatch(
    /^The policy file p\.yml is not valid, so no change is allowed: max_price: .+; consent\.create: .+; audit\.keep_files: .+\.$/,
  );
  expect(error?.hint).toBe('Tell the operator; doctor reports this too. Tools that only read still work.');
  const missing = refusalOf(() => watch(undefined, { policy: path.join(folder, 'none.yml') }));
  expect(missing?.message).toMatch(/none\.yml can't be used, so the server doesn't start: there is no such file\.$/);
  expect(missing?.hint).toBe(
    'Fix the file, or the setting that names it (DSTACK_MCP_POLICY, --policy), then start the server again.',
  );
  expect(missing?.cause).toBeInstanceOf(Error);
});

test.each([
  ['audit: {max_megabytes: 1000}', true],
  ['audit: {max_megabytes: 1001}', false],
  ['audit: {max_megabytes: 0}', false],
  ['audit: {keep_files: 1000}', true],
  ['audit: {keep_files: 1001}', false],
  ['audit: {keep_files: 1}', true],
  ['types: []', false],
  ['operations: []', false],
  ['flags: []', false],
  ['flags: ["--a-1"]', true],
  ['flags: ["x--a"]', false],
  ['flags: ["--a b"]', false],
  ['flags: ["--A"]', false],
  ['flags: ["--"]', false],
  ['backends: ["a"]', true],
  ['backends: ["*"]', true],
  ['backends: ["a.b_c-*"]', true],
  ['backends: ["-a"]', false],
  ['backends: ["a b"]', false],
  ['backends: [" a"]', false],
  ['types: [task, service, dev-environment, fleet, volume, gateway]', true],
  ['operations: [create, update, replace, stop, abort, delete]', true],
  ['consent: {create: {allow_below: 1}}', false],
  ['consent: {create: {allow_below: 1, otherwise: ask, more: 1}}', false],
  ['consent: {create: {allow_below: 0, otherwise: ask}}', true],
])('"%s" is valid: %s', (text, valid) => {
  expect(refusalOf(() => parsePolicy(text, 'p.yml')) === undefined).toBe(valid);
});

test.each([
  ['a*b*c', 'a-c-b-c', true],
  ['a*bb*c', 'abc', false],
  ['a*b*b*c', 'abc', false],
  ['a*b*b*c', 'abbc', true],
  ['*x*', 'abc', false],
  ['*a*', 'abc', true],
  ['*', 'anything', true],
  ['abc', 'abcd', false],
  ['abc*', 'abc', true],
  ['abc*abc', 'abcabc', true],
  ['other', 'x', false],
])('the pattern %j matches %j: %s', (pattern, name, matching) => {
  // Next to a pattern that never matches: one matching pattern is enough.
  const policy = watch(`protected: ["never-this", "${pattern}"]`);
  const error = refusalOf(() => policy.snapshot().assertResourceAllowed({ kind: 'run', name, operation: 'stop' }));
  expect(error !== undefined).toBe(matching);
});

test('a free run is below every price except zero', () => {
  const free = pendingChange({ binding: { mostPerHour: 0 } });
  expect(watch('consent: {create: {allow_below: 1, otherwise: person}}').requirementFor(free)).toBe('allow');
  expect(watch('consent: {create: {allow_below: 0, otherwise: person}}').requirementFor(free)).toBe('person');
});

test('without audit limits in the policy, none are set', () => {
  expect(watch('max_price: 1').auditLimits()).toEqual({ maxBytes: undefined, keepFiles: undefined });
  expect(watch('audit: {keep_files: 4}').auditLimits()).toEqual({ maxBytes: undefined, keepFiles: 4 });
});

test.each<[string, string, number | undefined, string | undefined]>([
  ['an allowed one', 'backends: [cloudrift]\nregions: ["us-*"]\nmax_price: 1', undefined, undefined],
  ['another backend', 'backends: [aws]', undefined, "this server's policy allows only the backends aws"],
  ['another region', 'regions: ["eu-*"]', undefined, "this server's policy allows only the regions eu-*"],
  ['one above the policy’s cap', 'max_price: 0.3', 5, "this server's price cap is $0.30/h"],
  ['one above the setting’s cap', 'max_price: 5', 0.3, "this server's price cap is $0.30/h"],
])('an offer is excluded by the limit that it breaks: %s', (_what, text, maxPrice, why) => {
  const policy = watch(text, { maxPrice }).snapshot();
  expect(policy.exclusionOf({ backend: 'cloudrift', region: 'us-east-nc-nr-1', pricePerHour: 0.39 })).toBe(why);
});

test.each(READ_ONLY)('the policy %s and the setting %s make the server read-only: %s', (text, readOnly, expected) => {
  expect(watch(text, { readOnly }).snapshot().readOnly).toBe(expected);
});

test.each<[string | undefined, Partial<PolicyWatchOptions>, boolean, string]>([
  [undefined, {}, true, 'person'],
  [undefined, {}, false, 'ask'],
  ['consent: {create: allow}', {}, true, 'person'],
  ['consent: {create: allow, server_access: token}', {}, true, 'token'],
  ['consent: {create: allow, server_access: allow}', {}, true, 'allow'],
  ['consent: {create: person, server_access: allow}', {}, true, 'person'],
  ['consent: {create: ask, server_access: ask}', {}, true, 'ask'],
])('the policy %s %o and a run that reaches the server (%s) require %s', (text, more, reachesServer, expected) => {
  const change = { ...pendingChange(), reachesServer };
  expect(watch(text, more).snapshot().requirementFor(change)).toBe(expected);
});

test.each<[Parameters<typeof matchesPlace>, boolean]>([
  [['backends', 'ssh', ['remote']], true],
  [['backends', 'remote', ['ssh']], true],
  [['backends', 'remote', ['aws']], false],
  [['backends', 'aws', ['remote', 'ssh']], false],
  [['regions', 'ssh', ['remote']], false],
  [['regions', 'eu-1', ['eu-*']], true],
])('the place of %j is allowed: %s', (place, expected) => {
  expect(matchesPlace(...place)).toBe(expected);
});

test.each<[Parameters<typeof ruleOn>, ReturnType<typeof ruleOn>]>([
  [['a.example', {}], 'unlisted'],
  [['a.example', { allow: ['*.example'] }], 'allowed'],
  [['a.example', { never: ['*.example'] }], 'forbidden'],
  [['a.example', { allow: ['*'], never: ['a.*'] }], 'forbidden'],
  [['b.example', { allow: ['a.*'], never: ['a.*'] }], 'unlisted'],
])('the lists say about %j: %s', (question, expected) => {
  expect(ruleOn(...question)).toBe(expected);
});

test('what may be handed over is that of the policy', () => {
  expect(watch(undefined).snapshot().handOver).toEqual({});
  expect(watch('hand_over: {hosts: {never: [x.example]}}').snapshot().handOver).toEqual({
    hosts: { never: ['x.example'] },
  });
});

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
