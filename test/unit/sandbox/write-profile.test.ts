import { expect, test } from 'vitest';
import { writeProfile } from '../../../sandbox/machines/write-profile.ts';

test('exports the variables of a job as the runner of dstack does, then changes to its folder', () => {
  const variables = {
    DSTACK_WORKING_DIR: '/workflow',
    TEXT: `it's "$HOME"\n`,
    'not-a-name': '1',
    HOME: '/root',
    _: 'x',
  };
  expect(writeProfile(variables)).toBe(
    `export DSTACK_WORKING_DIR='/workflow'\nexport TEXT='it'"'"'s "$HOME"\n'\ncd "$DSTACK_WORKING_DIR"\n`,
  );
});
