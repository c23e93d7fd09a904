import { describe, expect, it } from 'vitest';
import { countMachines, hasGroups, pricePlan } from '../../../../src/dstack/output/price-plan.ts';
import type { Offer } from '../../../../src/core/dstack-terms.ts';

describe('the number of machines of a plan', () => {
  it.each([
    [2, { min: 2, max: 2 }],
    ['3', { min: 3, max: 3 }],
    ['1..4', { min: 1, max: 4 }],
    ['2..', { min: 2 }],
    [
      { min: 1, max: 3 },
      { min: 1, max: 3 },
    ],
    [{ min: 2, max: null }, { min: 2 }],
    [{}, { min: 0 }],
    ['many', undefined],
    [[{ count: 1 }], undefined],
  ])('with replicas %j is %j', (replicas, count) => {
    expect(countMachines('service', {}, { replicas })).toEqual(count);
  });

  it('is one if a service or gateway states none, and unknown if nothing can be parsed', () => {
    expect(countMachines('service', {}, {})).toEqual({ min: 1, max: 1 });
    expect(countMachines('service', {}, 'no configuration')).toBeUndefined();
    expect(countMachines('gateway', {}, {})).toEqual({ min: 1, max: 1 });
    expect(countMachines('gateway', { Replicas: '2' }, {})).toEqual({ min: 2, max: 2 });
    expect(countMachines('gateway', { Replicas: 'some' }, {})).toBeUndefined();
  });

  it.each([
    ['min=0 target=2 max=3', { min: 2, max: 3 }],
    ['min=1 target=1 max=None', { min: 1 }],
    ['4', { min: 4, max: 4 }],
    ['a few', undefined],
  ])('of a fleet of "%s" is %j', (Nodes, count) => {
    expect(countMachines('fleet', { Nodes }, {})).toEqual(count);
  });

  it.each([
    ['task', { Type: 'task (nodes=2)' }, { min: 2, max: 2 }],
    ['task', { Type: 'task' }, undefined],
    ['task', {}, undefined],
    ['fleet', {}, undefined],
    ['dev-environment', {}, { min: 1, max: 1 }],
    ['volume', {}, { min: 1, max: 1 }],
    ['preset', {}, undefined],
  ])('of a %s with %j is %j', (kind, properties, count) => {
    expect(countMachines(kind, properties, {})).toEqual(count);
  });

  it('has groups if replicas or groups are a list', () => {
    expect([{ replicas: [] }, { groups: [] }, { replicas: 2 }, {}, undefined].map(hasGroups)).toEqual([
      true,
      true,
      false,
      false,
      false,
    ]);
  });
});

describe('the price of a plan', () => {
  const offer = (pricePerHour: number, availability: Offer['availability'] = 'available'): Offer => ({
    backend: 'aws',
    instanceType: 'g4',
    resources: 'cpu=2',
    spot: false,
    pricePerHour,
    availability,
  });
  const offers = { offers: [offer(0.2, 'no quota'), offer(0.39), offer(1.3)], total: 3 };

  it('uses the first available offer, and the most expensive one for the highest price', () => {
    expect(pricePlan(offers, { count: { min: 1, max: 3 }, isWhole: true })).toEqual({
      perHour: 0.39,
      perHourMin: 0.2,
      perHourMax: 1.3,
      perHourAtStart: 0.39,
      perHourAll: 1.17,
      isWhole: true,
    });
  });

  it('is only that of one machine if the number is unknown, open, or of one group among several', () => {
    const one = { perHour: 0.39, perHourMin: 0.2, perHourMax: 5 };
    const dearer = { ...offers, maxPriceOfAll: 5 };
    expect(pricePlan(dearer, { count: undefined, isWhole: true })).toEqual({
      ...one,
      isWhole: true,
    });
    expect(pricePlan(dearer, { count: { min: 2 }, isWhole: true })).toEqual({
      ...one,
      perHourAtStart: 0.78,
      isWhole: true,
    });
    expect(pricePlan(dearer, { count: { min: 2, max: 2 }, isWhole: false })).toEqual({
      ...one,
      isWhole: false,
    });
  });

  it('has no hourly price if nothing is available now, and none at all without offers', () => {
    const busy = { offers: [offer(2, 'busy')], total: 1 };
    expect(pricePlan(busy, { count: { min: 1, max: 1 }, isWhole: true })).toEqual({
      perHourMin: 2,
      perHourMax: 2,
      isWhole: true,
    });
    expect(pricePlan({ offers: [], total: 0 }, { count: undefined, isWhole: true })).toEqual({ isWhole: true });
  });
});
