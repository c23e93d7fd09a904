import { expect, test } from 'vitest';
import { describeResource, describeResourceStatus } from '../../../../src/dstack/describe/describe-resource.ts';
import { readJsonOutput } from '../../../../src/dstack/output/read-json-output.ts';
import { readResource } from '../../../../src/dstack/output/read-resource.ts';
import { readFixture } from '../../../support/read-fixture.ts';

const json = (name: string): unknown => readJsonOutput(readFixture(name).stdout);

test('a fleet in labeled lines: its nodes, its price, and what each instance is and does', () => {
  const fleet = readResource('fleet', json('fleet-get'));
  expect(describeResourceStatus(fleet)).toBe('Fleet lab-cloud is active.');
  expect(describeResource(fleet)).toEqual([
    expect.stringMatching(/^created: \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:Z|\+00:00)$/),
    'nodes: 0..3',
    '1 instance, $0.39/h together',
    expect.stringMatching(/^- instance 0: busy, gpu=RTX4090:24GB:1, cpu=8 mem=48GB disk=500GB, \$0\.39\/h/),
  ]);
});

test('a fleet of a thousand instances fits in a few lines, with what is wrong first', () => {
  const instances = Array.from({ length: 1_000 }, (_, instance) => ({
    instance,
    status: 'idle',
    ...(instance === 999 ? { error: 'no driver' } : {}),
  }));
  const lines = describeResource({ ...readResource('fleet', json('fleet-get')), instances });
  expect(lines.join('\n').length).toBeLessThan(2_000);
  expect(lines).toContain('- instance 999: idle, no driver');
  expect(lines.at(-1)).toBe('- and 980 more: `full` shows all');
});

test('a volume in labeled lines', () => {
  const volume = readResource('volume', json('volume-get'));
  expect(describeResource(volume)).toEqual(
    expect.arrayContaining([expect.stringMatching(/^place: runpod /), 'size: 100GB', 'attached to: nothing']),
  );
});
