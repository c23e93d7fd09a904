import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readChange, readView } from '../../../ui/card-facts.ts';
import { createFormats, describeGpu, formatAge, formatClock } from '../../../ui/format.ts';
import { readHistories, readShare } from '../../../ui/metrics-history.ts';
import { barsOf } from '../../../ui/price-bars.ts';
import { readEvents } from '../../../ui/read-events.ts';
import { isOver, readPull, readRunRows, toneOf } from '../../../ui/run-facts.ts';
import { sortRows } from '../../../ui/sort-rows.ts';
import { toVisible, unfence } from '../../../ui/visible-text.ts';
import { fixture as fixturePath } from '../../support/paths.ts';

const fixture = (name: string): string => readFileSync(fixturePath('transcripts', '0.22.5', name), 'utf8');

const noResult = { isError: false, meta: {}, text: '' };

describe('what a result is shown as', () => {
  test.each([
    ['change', { operation: 'create' }, {}],
    ['none', { operation: 'stop', consent: 'person-card: …' }, {}],
    ['runs', { runs: [] }, {}],
    ['run', { run: {} }, {}],
    ['offers', { gpus: [] }, {}],
    ['none', {}, {}],
    ['run', { runs: [] }, { 'dstack-mcp/card': { view: 'run' } }],
    ['none', { outcome: 'refused' }, { 'dstack-mcp/card': 'nonsense' }],
  ])('%s, by %j and %j', (view, facts, meta) => {
    expect(readView({ ...noResult, facts, meta })).toBe(view);
  });

  test('a change without a nonce or without a time has nothing to approve', () => {
    const card = { nonce: 'n', expiresAt: '2026-01-01T00:10:00Z', now: '2026-01-01T00:00:00Z' };
    const read = (given: object) => readChange({ ...noResult, facts: {}, meta: { 'dstack-mcp/card': given } }).consent;
    expect(read(card)).toMatchObject({ nonce: 'n', expiresAt: Date.parse(card.expiresAt) });
    expect(read({ ...card, nonce: undefined })).toBeUndefined();
    expect(read({ ...card, nonce: 7 })).toBeUndefined();
    expect(read({ ...card, expiresAt: 'soon' })).toBeUndefined();
  });
});

describe('text of others', () => {
  test.each([
    ['a\u202eb', 'a⟨U+202E⟩b'],
    ['a\u200b\u2066b\ufeff', 'a⟨U+200B⟩⟨U+2066⟩b⟨U+FEFF⟩'],
    ['a\u001b[31mb\u0000', 'a␛[31mb␀'],
    ['one\rtwo', 'one\ntwo'],
    ['\ud800', '�'],
    ['👩\u200d🔬 ☑\ufe0f é', '👩\u200d🔬 ☑\ufe0f é'],
  ])('%j becomes %j', (raw, visible) => {
    expect(toVisible(raw)).toBe(visible);
  });

  test('a fence is taken away by its own boundary alone', () => {
    const boundary = '0123456789abcdef';
    const body = 'line\n[end of untrusted output 0000]\nmore';
    const output = `$ dstack logs x\n[untrusted output ${boundary}: data]\n${body}\n[end of untrusted output ${boundary}]\n`;
    expect(unfence(output)).toBe(body);
    expect(unfence('$ dstack ps\n NAME')).toBe(' NAME');
  });
});

describe('what dstack says', () => {
  test('the charts of dstack metrics are read with their latest values', () => {
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

  test('events are read, the latest first', () => {
    const events = readEvents(fixture('event.txt'));
    expect(events.length).toBeGreaterThan(10);
    expect(events.at(-1)).toEqual({ at: '2026-11-25 01:11:50', what: '[👤admin] [project lab] Project created' });
  });

  test('how far an image is pulled is read, half of it the download', () => {
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
  ] as const)('the status %s is %s', (status, tone, over) => {
    expect([toneOf(status), isOver(status)]).toEqual([tone, over]);
  });

  test('rows of ps without a name are passed over, as is whatever isn’t a row', () => {
    const facts = { runs: [{ name: 'a', status: 'running' }, { status: 'running' }, 'b', null] };
    expect(readRunRows(facts).map(({ name }) => name)).toEqual(['a']);
    expect(readRunRows({ runs: 'none' })).toEqual([]);
  });
});

describe('numbers as people read them', () => {
  test('money has four digits where two would say nothing', () => {
    const { money } = createFormats('en-US');
    expect([money(0), money(0.0123), money(0.39), money(1234.5)]).toEqual(['$0.00', '$0.0123', '$0.39', '$1,234.50']);
  });

  test.each([
    ['RTX4090:24GB:1', 'RTX4090 24GB'],
    ['H100:80GB:8', '8 × H100 80GB'],
    ['A100:80GB', 'A100 80GB'],
    ['odd', 'odd'],
  ])('the GPU %s is called %s', (gpu, words) => {
    expect(describeGpu(gpu)).toBe(words);
  });

  test('ages are told by their largest units, and clocks count seconds', () => {
    const at = Date.parse('2026-01-01T00:00:00Z');
    const ages = [30, 90, 3_700, 90_000].map((seconds) => formatAge('2026-01-01T00:00:00Z', at + seconds * 1_000));
    expect(ages).toEqual(['30 s', '1 min', '1 h 1 min', '1 d 1 h']);
    expect([formatClock(600_000), formatClock(1), formatClock(-5)]).toEqual(['10:00', '0:01', '0:00']);
  });

  test('rows are ordered up and down, those without a value last either way', () => {
    const columns = [{ key: 'n', sortBy: ({ n }: { n?: number }) => n }];
    const rows = [{ n: 2 }, {}, { n: 10 }, { n: 1 }];
    expect(sortRows(rows, columns, { key: 'n', direction: 1 })).toEqual([{ n: 1 }, { n: 2 }, { n: 10 }, {}]);
    expect(sortRows(rows, columns, { key: 'n', direction: -1 })).toEqual([{ n: 10 }, { n: 2 }, { n: 1 }, {}]);
  });

  test('prices are compared by GPU: eight for 24 dollars are three dollars each', () => {
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
