import { expect, test } from 'vitest';
import { createToolNaming } from '../../../src/mcp/name-tools.ts';
import { tools } from '../../../tools/index.ts';

const name = createToolNaming(
  'gpu_',
  tools.map((tool) => tool.name),
);

test.each([
  [
    'Show this plan to the user. Only after they approve, call apply with the token.',
    'Show this plan to the user. Only after they approve, call gpu_apply with the token.',
  ],
  ['Call plan again and show the user its result.', 'Call gpu_plan again and show the user its result.'],
  [
    'Check the current state with ps, get, fleet or list before anything else.',
    'Check the current state with gpu_ps, gpu_get, gpu_fleet or gpu_list before anything else.',
  ],
  ['Use write_config, then plan with a file.', 'Use gpu_write_config, then gpu_plan with a file.'],
  ['call plan, stop or delete to get one', 'call gpu_plan, gpu_stop or gpu_delete to get one'],
  ['A run needs a fleet; fleet with `fleet` shows it.', 'A run needs a fleet; gpu_fleet with `fleet` shows it.'],
  [
    '`dstack apply -f x` or dstack ps; set fleet.yml and /plan/ in the file',
    '`dstack apply -f x` or dstack ps; set fleet.yml and /plan/ in the file',
  ],
  [
    'plan-a isn’t a tool, nor is "logs", explanation or applying.',
    'plan-a isn’t a tool, nor is "logs", explanation or applying.',
  ],
  ['Get it. List it.', 'Get it. List it.'],
])('a text names tools with the prefix: %s', (text, expected) => {
  expect(name(text)).toBe(expected);
});

test('without a prefix every text stays the same', () => {
  expect(createToolNaming('', ['plan'])('call plan')).toBe('call plan');
});
