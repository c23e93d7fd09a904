import { expect, test } from 'vitest';
import { fileKindOf, findPathProblem } from '../../../../src/safety/files/path-rules.ts';

test.each<[string, NodeJS.Platform, RegExp | undefined]>([
  ['train.dstack.yml', 'linux', undefined],
  ['a b/ü.dstack.yml', 'linux', undefined],
  ['/home/u/x.dstack.yml', 'linux', undefined],
  ['/dev/shm/x.dstack.yml', 'linux', undefined],
  ['dev/x.dstack.yml', 'linux', undefined],
  ['/devel/x.dstack.yml', 'linux', undefined],
  ['..a/x.dstack.yml', 'linux', undefined],
  ['C:\\work\\x.dstack.yml', 'win32', undefined],
  ['C:/gpu/x.dstack.yml', 'win32', undefined],
  ['sub\\x.dstack.yml', 'win32', undefined],
  ['.\\x.dstack.yml', 'win32', undefined],
  ['   ', 'linux', /empty/],
  ['a/../b', 'linux', /\.\./],
  ['a\\..\\b', 'win32', /\.\./],
  ['/dev/tty', 'linux', /devices/],
  ['/proc', 'linux', /devices/],
  ['\\\\server\\share\\x.dstack.yml', 'win32', /network or device/],
  ['//server/share/x.dstack.yml', 'win32', /network or device/],
  ['\\\\?\\C:\\x.dstack.yml', 'win32', /network or device/],
  ['\\\\.\\PhysicalDrive0', 'win32', /network or device/],
  ['C:x.dstack.yml', 'win32', /drive without a folder/],
  ['x.dstack.yml:stream', 'win32', /URL|stream/],
  ['C:\\work\\x.dstack.yml:stream', 'win32', /stream/],
  ['NUL', 'win32', /device/],
  ['con.dstack.yml', 'win32', /device/],
  ['sub\\COM1.dstack.yml', 'win32', /device/],
  ['lpt¹.dstack.yml', 'win32', /device/],
  ['x.dstack.yml.', 'win32', /ends with a dot/],
  ['x.dstack.yml ', 'win32', /ends with a dot or a space/],
  ['sub.\\x.dstack.yml', 'win32', /ends with a dot/],
])('%j on %s', (text, platform, words) => {
  expect(findPathProblem(text, platform) ?? '').toMatch(words ?? /^$/);
});

test.each([
  ['train.dstack.yml', 'configuration'],
  ['sub/train.dstack.yaml', 'configuration'],
  ['.dstack.yml', 'configuration'],
  ['sub\\.dstack.yaml', 'configuration'],
  ['dstack.yml', undefined],
  ['train.dstack.yml.bak', undefined],
  ['train.dstack.ymlx', undefined],
  ['train.DSTACK.YML', undefined],
  ['.dstack/profiles.yml', 'profile'],
  ['a/.dstack/profiles.yaml', 'profile'],
  ['profiles.yml', undefined],
  ['.dstack/config.yml', undefined],
  ['.env', 'env'],
  ['a/.envrc', 'env'],
  ['prod.env', undefined],
  ['.env.local', undefined],
])('%s is of kind %s', (file, kind) => {
  expect(fileKindOf(file)).toBe(kind);
});

test.each<[string, NodeJS.Platform, string | undefined]>([
  ['a'.repeat(4096), 'linux', undefined],
  ['a'.repeat(4097), 'linux', 'it is longer than 4096 characters'],
  ['a\\..\\b', 'linux', undefined],
  ['NUL', 'linux', undefined],
  ['x.', 'linux', undefined],
  ['falcon.dstack.yml', 'win32', undefined],
  ['icon', 'win32', undefined],
  ['console.dstack.yml', 'win32', undefined],
  ['\\work\\x.dstack.yml', 'win32', undefined],
  ['a\\\\b', 'win32', undefined],
  ['ab:/x', 'win32', 'it is a URL, not a path'],
  ['x/a:/y', 'win32', 'it names a drive without a folder, or a data stream'],
  ['C:\\a:b', 'win32', 'it names a drive without a folder, or a data stream'],
  ['/home/proc', 'linux', undefined],
  ['/home/dev/x', 'linux', undefined],
  ['//proc/self', 'linux', 'it is in a folder of devices or processes'],
  ['//dev//shm/x', 'linux', undefined],
  ['/dev//shm/x', 'linux', undefined],
  ['/dev/shm', 'linux', 'it is in a folder of devices or processes'],
])('an edge case of the rules: %j on %s', (text, platform, problem) => {
  expect(findPathProblem(text, platform)).toBe(problem);
});

test.each([
  ['.dstack/profiles.yml.bak', undefined],
  ['.dstack/my-profiles.yml', undefined],
  ['.dstack/profiles.yaml', 'profile'],
  ['', undefined],
  ['x.dstack.yml.bak', undefined],
])('an edge case of the kinds: %j', (file, kind) => {
  expect(fileKindOf(file)).toBe(kind);
});
