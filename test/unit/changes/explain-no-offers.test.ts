import { describe, expect, it } from 'vitest';
import { offerFlags, relaxConstraints } from '../../../src/changes/explain-no-offers.ts';
import type { Constraints } from '../../../src/changes/explain-no-offers.ts';

const CONSTRAINTS: Constraints = {
  resources: 'cpu=x86:2.. mem=8GB.. disk=100GB.. gpu=RTX4090:24GB:8',
  spotPolicy: 'on-demand',
  maxPrice: 0.3,
  cap: undefined,
  backends: ['aws'],
  regions: [],
  instanceTypes: [],
  fleets: ['cloud', 'on-prem'],
  namesFleets: false,
};
const labels = (constraints: Constraints): string[] => relaxConstraints(constraints).map(({ label }) => label);
const relaxedBy = (constraints: Constraints, label: string) =>
  relaxConstraints(constraints).find((one) => one.label.startsWith(label))?.flags;

describe('the constraints of a plan', () => {
  it('are searched with the same flags as in the plan', () => {
    expect(offerFlags(CONSTRAINTS)).toEqual({
      '--cpu': 'x86:2..',
      '--memory': '8GB..',
      '--disk': '100GB..',
      '--gpu': 'RTX4090:24GB:8',
      '--spot-policy': 'on-demand',
      '--max-price': 0.3,
      '--backend': ['aws'],
      '--fleet': ['cloud', 'on-prem'],
    });
  });

  it('are relaxed one at a time', () => {
    expect(labels(CONSTRAINTS)).toEqual([
      'without your limit of $0.30/h',
      'on spot, which can be interrupted',
      'with fewer GPUs',
      'with any GPU memory',
      'with another GPU',
      'with any CPU, memory and disk',
      'in any backend',
      'outside of your fleets (a fleet that allows it has to be created)',
    ]);
    for (const { flags } of relaxConstraints(CONSTRAINTS)) {
      const differing = Object.entries(offerFlags(CONSTRAINTS)).filter(([name, value]) => flags[name] !== value);
      const isSizes = !Object.hasOwn(flags, '--cpu');
      expect(differing).toHaveLength(isSizes ? 3 : 1);
    }
  });

  it('name the GPU in parts: count, memory and name', () => {
    expect(relaxedBy(CONSTRAINTS, 'with fewer')?.['--gpu']).toBe('RTX4090:24GB:1..');
    expect(relaxedBy(CONSTRAINTS, 'with any GPU memory')?.['--gpu']).toBe('RTX4090:8');
    expect(relaxedBy(CONSTRAINTS, 'with another')?.['--gpu']).toBe('24GB:8');
    expect(relaxedBy({ ...CONSTRAINTS, resources: 'gpu=H100' }, 'with another')?.['--gpu']).toBe('1..');
    expect(labels({ ...CONSTRAINTS, resources: 'gpu=nvidia:0..' }).join()).not.toMatch(/GPU/);
  });

  it('that the operator set are named as such', () => {
    expect(labels({ ...CONSTRAINTS, cap: "this server's price cap of $0.30/h" })[0]).toBe(
      "without this server's price cap of $0.30/h",
    );
    expect(labels({ ...CONSTRAINTS, namesFleets: true }).at(-1)).toBe('outside of the fleets that it names');
  });
});
