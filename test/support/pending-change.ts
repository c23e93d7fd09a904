import type { Binding, ConsentSummary, Operation, PendingChange } from '../../src/core/change.ts';

/** Returns a pending change, with the parts that a test overrides. */
export function pendingChange(
  options: {
    operation?: Operation;
    argv?: readonly string[];
    binding?: Partial<Binding>;
    summary?: Partial<ConsentSummary>;
    nameToType?: string;
  } = {},
): PendingChange {
  const operation = options.operation ?? 'create';
  return {
    request: { tool: 'apply', file: 'train.dstack.yml' },
    operation,
    argv: options.argv ?? ['apply', '-f', 'train.dstack.yml', '-y', '-d'],
    binding: {
      tool: 'apply',
      resource: { kind: 'task', name: 'train' },
      project: 'main',
      server: 'http://127.0.0.1:3999',
      cwd: '/work',
      files: { '/home/me/gpu/train.dstack.yml': 'a'.repeat(64), '/home/me/gpu/.dstack/profiles.yml': 'absent' },
      present: operation === 'create' ? null : '1f0c',
      affected: [],
      pricePerHour: 1,
      mostPerHour: 1,
      cliVersion: '0.22.5',
      requests: null,
      ...options.binding,
    },
    summary: {
      action: 'Submit the run train',
      resource: { kind: 'task', name: 'train' },
      project: 'main',
      server: 'http://127.0.0.1:3999',
      price: '$1.00/h, no limit in total',
      pricePerHour: 1,
      losses: [],
      warnings: [],
      ...options.summary,
    },
    ...(options.nameToType === undefined ? {} : { nameToType: options.nameToType }),
  };
}
