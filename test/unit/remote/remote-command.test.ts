import { expect, test } from 'vitest';
import { remoteCommand } from '../../../src/remote/remote-command.ts';
import { sshArguments } from '../../../src/remote/ssh-shell.ts';

test('ssh gets data only as base64, and no configuration', () => {
  const evil = ['-oProxyCommand=touch /tmp/x', "'; reboot; '", '$(id)', '\n~.\n', '%h'];
  const argv = sshArguments(
    '/home/u%/.dstack/ssh/run.control.sock',
    remoteCommand({ script: 'true', data: evil }, 'ab12'),
  );
  expect(argv.slice(0, 5)).toEqual(['-F', 'none', '-T', '-S', '/home/u%%/.dstack/ssh/run.control.sock']);
  expect(argv.slice(-3, -1)).toEqual(['--', 'run']);
  const options = argv.slice(5, -3);
  expect(options.filter((_, at) => at % 2 === 0).every((word) => word === '-o')).toBe(true);
  expect(argv.at(-1)).toMatch(/^exec sh -c '[^'\\!]*' [A-Za-z0-9+/=]+$/);
});

test('data with a NUL, and data longer than a system accepts, are rejected', () => {
  expect(() => remoteCommand({ script: '', data: ['a\0b'] }, 'ab12')).toThrow(RangeError);
  expect(() => remoteCommand({ script: '', data: ['a'.repeat(100_000)] }, 'ab12')).toThrow(RangeError);
});
