import { expect, test } from 'vitest';
import type { AttachStop } from '../../../src/attachments/stop-attachment.ts';
import { reportStop } from '../../../tools/attach.ts';

const stop = (id: string, ...stillAlive: readonly number[]): AttachStop => ({
  attachment: {
    id,
    run: 'web',
    command: 'dstack attach web',
    startedAt: '',
    outputFile: '',
    state: { kind: 'waiting' },
    dstackOutput: '',
    jobOutput: '',
  },
  ended: { how: 'killed', stillAlive },
});

test('what has ended is detached', () => {
  expect(reportStop([stop('web'), stop('web.1-0')], 'web')).toMatchObject({
    outcome: 'done',
    summary: 'Detached from web, web.1-0. The run continues, and so does its cost.',
    facts: { attachments: [{ state: 'ended' }, { state: 'ended' }] },
  });
});

test('what is still running is not called detached', () => {
  expect(reportStop([stop('web', 11, 12), stop('web.1-0')], 'web')).toMatchObject({
    outcome: 'failed',
    summary:
      'Detached from web.1-0. The run continues, and so does its cost. Could not detach from web: it is still running (process 11, 12).',
    facts: {
      attachments: [
        { id: 'web.1-0', state: 'ended' },
        { id: 'web', state: 'waiting' },
      ],
    },
    next: expect.stringContaining('again'),
  });
});

test('without an attachment there is nothing to stop', () => {
  expect(reportStop([], 'web')).toMatchObject({ outcome: 'nothing-to-do', facts: { attachments: [] } });
});
