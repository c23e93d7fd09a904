import { expect, test } from 'vitest';
import { cliEnvironment } from '../../../../src/dstack/run/spawn-dstack.ts';

test.each(['PATH', 'PYTHONPATH'])('%s loses the entries that mean the working directory', (name) => {
  expect(cliEnvironment({ [name]: ':/a:.:lib:/b c::../x:' })[name]).toBe('/a:/b c');
  expect(cliEnvironment({ [name]: '' })[name]).toBe('');
  expect(cliEnvironment({})).not.toHaveProperty(name);
});

test('other lists are passed on unchanged', () => {
  expect(cliEnvironment({ XDG_DATA_DIRS: ':share', NODE_OPTIONS: '--x' })).toMatchObject({ XDG_DATA_DIRS: ':share' });
});
