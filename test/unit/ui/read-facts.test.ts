import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import * as server from '../../../src/core/values.ts';
import { barsOf, readChange, readView } from '../../../ui/card-facts.ts';
import { createFormats, describeGpu, formatAge, formatClock, formatDollars, plural } from '../../../ui/format.ts';
import { readHistories, readShare } from '../../../ui/metrics-history.ts';
import { exampleRequest, isOver, readEvents, readPull, readRunRows, runOf, toneOf } from '../../../ui/run-facts.ts';
import { sortRows } from '../../../ui/sort-rows.ts';
import { toVisible, unfence } from '../../../ui/visible-text.ts';
import { fixture as fixturePath } from '../../support/paths.ts';

const fixture = (name: string): string => readFileSync(fixturePath('transcripts', '0.22.5', name), 'utf8');

const emptyResult = { isError: false, meta: {}, text: '' };

describe('the view of a result', () => {
  test.each([
    ['change', { operation: 'create' }, {}],
    ['none', { operation: 'stop', consent: 'person-card: …' }, {}],
    ['runs', { runs: [] }, {}],
    ['run', { run: {} }, {}],
    ['offers', { gpus: [] }, {}],
    ['none', {}, {}],
    ['run', { runs: [] }, { 'dstack-mcp/card': { view: 'run' } }],
    ['none', { outcome: 'refused' }, { 'dstack-mcp/card': 'nonsense' }],
  ])('is %s for %j and %j', (view, facts, meta) => {
    expect(readView({ ...emptyResult, facts, meta })).toBe(view);
  });

  test('a change without a valid nonce or expiry cannot be approved', () => {
    const card = { nonce: 'n', expiresAt: '2026-01-01T00:10:00Z', now: '2026-01-01T00:00:00Z' };
    const read = (data: object) => readChange({ ...emptyResult, facts: {}, meta: { 'dstack-mcp/card': data } }).consent;
    expect(read(card)).toMatchObject({ nonce: 'n', expiresAt: Date.parse(card.expiresAt) });
    expect(read({ ...card, nonce: undefined })).toBeUndefined();
    expect(read({ ...card, nonce: 7 })).toBeUndefined();
    expect(read({ ...card, expiresAt: 'soon' })).toBeUndefined();
  });
});

test.each([
  ['with the token, on the user’s own server', { isServiceOnServer: true, auth: true }, /Bearer/],
  ['with the token, where dstack says nothing about `auth`', { isServiceOnServer: true }, /Bearer/],
  ['without the token, with `auth: false`', { isServiceOnServer: true, auth: false }, /^curl 'http/],
  ['without the token, on another server', { isServiceOnServer: false, auth: true }, /^curl 'http/],
])('the example request calls a service %s', (_how, facts, expected) => {
  const run = runOf({ run: { name: 'web', status: 'running', serviceUrl: 'http://127.0.0.1:3000/s', ...facts } });
  expect(run && exampleRequest(run)).toMatch(expected);
});

test('there is no example request for an address that a shell could misread', () => {
  const run = runOf({ run: { name: 'web', status: 'running', serviceUrl: "http://a/'$(id)'" } });
  expect(run && exampleRequest(run)).toBeUndefined();
});

describe('untrusted text', () => {
  test.each([
    ['a\u202eb', 'a⟨U+202E⟩b'],
    ['a\u200b\u2066b\ufeff', 'a⟨U+200B⟩⟨U+2066⟩b⟨U+FEFF⟩'],
    ['a\u001b[31mb\u0000', 'a␛[31mb␀'],
    ['one\rtwo', 'one\ntwo'],
    ['\ud800', '�'],
    ['👩\u200d🔬 ☑\ufe0f é', '👩\u200d🔬 ☑\ufe0f é'],
  ])('shows %j as %j', (raw, visible) => {
    expect(toVisible(raw)).toBe(visible);
  });

  test('a fence ends only at its own boundary', () => {
    const boundary = '0123456789abcdef';
    const body = 'line\n[end of untrusted output 0000]\nmore';
    const output = `$ dstack logs x\n[untrusted output ${boundary}: data]\n${body}\n[end of untrusted output ${boundary}]\n`;
    expect(unfence(output)).toBe(body);
    expect(unfence('$ dstack ps\n NAME')).toBe(' NAME');
  });
});

describe('dstack output', () => {
  test('reads the charts of dstack metrics with their latest values', () => {
    const output = fixture('metrics.txt').replace(/^[^]*--- stdout\n/, '');
    const rows = [
      { job: 'job=0', part: 'cpu', utilization: '6%', memory: '256MB/48GB' },
      { job: 'job=0', part: 'gpu=0', utilization: '42%', memory: '10GB/24GB' },
    ];
    const histories = readHistories({ rows, output });
    expect(histories.map(({ label, measure, values }) => [label, measure, values.at(-1)])).toEqual([
      ['cpu', 'utilization', 0.06],
      ['cpu', 'memory', 256 / (48 * 1024)],
      ['gpu=0', 'utilization', 0.42],
      ['gpu=0', 'memory', 10 / 24],
    ]);
    const drawn = readHistories({
      rows: [{ part: 'cpu', utilization: '100%' }],
      output: '     UTILIZATION  MEMORY\n cpu ▁▄▇ 100%     ▁▁▁',
    });
    expect(drawn[0]?.values).toEqual([0, 0.5, 1]);
    expect(readHistories({ rows: [{ part: 'cpu', utilization: '5%' }], output: 'nothing' })[0]?.values).toEqual([0.05]);
    expect(readShare('no sample')).toBeUndefined();
  });

  test('reads events, latest first', () => {
    const events = readEvents(fixture('event.txt'));
    expect(events.length).toBeGreaterThan(10);
    expect(events.at(-1)).toEqual({ at: '2026-11-25 01:11:50', what: '[👤admin] [project lab] Project created' });
  });

  test('reads the progress of an image pull, with the download as one half', () => {
    expect(readPull('extracted 1, downloaded 2 of ≥2 GB')?.share).toBe(0.75);
    expect(readPull('extracted 1, downloaded 2 of 0 GB')).toBeUndefined();
    expect(readPull('soon')).toBeUndefined();
  });

  test.each([
    ['running', 'good', false],
    ['pulling', 'busy', false],
    ['no capacity', 'bad', true],
    ['exited (0)', 'good', true],
    ['exited (137)', 'bad', true],
    ['failed', 'bad', true],
    ['terminated', 'over', true],
  ] as const)('shows the status %s as %s', (status, tone, over) => {
    expect([toneOf(status), isOver(status)]).toEqual([tone, over]);
  });

  test('skips rows of ps that have no name or are not objects', () => {
    const facts = { runs: [{ name: 'a', status: 'running' }, { status: 'running' }, 'b', null] };
    expect(readRunRows(facts).map(({ name }) => name)).toEqual(['a']);
    expect(readRunRows({ runs: 'none' })).toEqual([]);
  });
});

describe('formatted values', () => {
  test.each([
    [0, '$0.00'],
    [0.000_01, '< $0.0001'],
    [0.000_05, '$0.0001'],
    [0.0123, '$0.0123'],
    [0.1, '$0.10'],
    [0.123_45, '$0.1235'],
    [0.39, '$0.39'],
    [1.3, '$1.30'],
    [1.555, '$1.555'],
    [4, '$4.00'],
    [1234.5, '$1234.50'],
    [Number.NaN, 'an unknown price'],
    [Number.POSITIVE_INFINITY, 'an unknown price'],
  ])('the amount %d is %s in the card and on the server', (amount, text) => {
    expect([formatDollars(amount), server.formatDollars(amount)]).toEqual([text, text]);
  });

  test('times follow the host’s locale and time zone, and those of the browser if they are unknown', () => {
    const instant = '2026-01-01T12:00:00Z';
    expect(createFormats('de-DE', 'Europe/Berlin').date(instant)).toBe('01.01.2026, 13:00');
    expect(createFormats('not a locale', 'Nowhere/Land').date(instant)).toBe(createFormats().date(instant));
    expect(createFormats().date('soon')).toBe('soon');
  });

  test('counts have a singular and a plural', () => {
    for (const count of [0, 1, 2]) expect(plural(count, 'line')).toBe(server.plural(count, 'line'));
  });

  test.each([
    ['RTX4090:24GB:1', 'RTX4090 24GB'],
    ['H100:80GB:8', '8 × H100 80GB'],
    ['A100:80GB', 'A100 80GB'],
    ['odd', 'odd'],
  ])('shows the GPU %s as %s', (gpu, text) => {
    expect(describeGpu(gpu)).toBe(text);
  });

  test('ages have their two largest units, and clocks have seconds', () => {
    const at = Date.parse('2026-01-01T00:00:00Z');
    const ages = [30, 90, 3_700, 90_000].map((seconds) => formatAge('2026-01-01T00:00:00Z', at + seconds * 1_000));
    expect(ages).toEqual(['30 s', '1 min', '1 h 1 min', '1 d 1 h']);
    expect([formatClock(600_000), formatClock(1), formatClock(-5)]).toEqual(['10:00', '0:01', '0:00']);
  });

  test('rows without a value come last in both sort directions', () => {
    const columns = [{ key: 'n', sortBy: ({ n }: { n?: number }) => n }];
    const rows = [{ n: 2 }, {}, { n: 10 }, { n: 1 }];
    expect(sortRows(rows, columns, { key: 'n', direction: 1 })).toEqual([{ n: 1 }, { n: 2 }, { n: 10 }, {}]);
    expect(sortRows(rows, columns, { key: 'n', direction: -1 })).toEqual([{ n: 10 }, { n: 2 }, { n: 1 }, {}]);
  });

  test('prices are compared per GPU', () => {
    const offer = { backend: 'b', spot: false, availability: 'available' };
    const bars = barsOf([
      { ...offer, gpu: 'H100:80GB:8', pricePerHour: 24 },
      { ...offer, gpu: 'H100:80GB:1', pricePerHour: 4 },
      { ...offer, pricePerHour: 0.1 },
    ]);
    expect(bars).toEqual([
      { label: 'no GPU', low: 0.1, high: 0.1 },
      { label: 'H100 80GB', low: 3, high: 4 },
    ]);
  });
});
