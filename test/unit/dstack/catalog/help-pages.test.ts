import { expect, test } from 'vitest';
import { findHelp } from '../../../../src/dstack/catalog/help-pages.ts';
import { recordedCatalog, recordedPages } from '../../../support/recorded-catalog.ts';
import { refusal } from '../../../support/set-up-gate.ts';

const catalog = recordedCatalog('0.22.5');
const pages = recordedPages('0.22.5');

test.each([
  ['ps', undefined, 'ps', ['ps', '--help']],
  [' dstack  run get ', undefined, 'run get', ['run', 'get', '--help']],
  ['', undefined, '', ['--help']],
  ['apply', 'task', 'apply -h task', ['apply', '-h', 'task']],
])('a command has its whole page: %j %s', async (asked, type, page, argv) => {
  expect(await findHelp(catalog, asked, type)).toEqual({ argv, text: pages[page], isPage: true });
});

test('one flag of a command is answered by its entry alone', async () => {
  const found = await findHelp(catalog, 'preset list --all', undefined);
  expect(found).toMatchObject({ argv: ['preset', 'list', '--help'], isPage: false });
  expect(found.text).toMatch(/^dstack preset list:\n {2}-a, --all +Show all presets\. .* or the last one\.$/);
  expect((await findHelp(catalog, 'preset list -a', undefined)).text).toBe(found.text);
});

test('a flag of apply is found on the pages of its types, once', async () => {
  const { text } = await findHelp(catalog, 'apply --max-price', undefined);
  expect(text.match(/--max-price/g)).toHaveLength(1);
  expect(text).toMatch(/^dstack apply:\n {2}--max-price PRICE /);
  expect(await findHelp(catalog, 'apply --max-price', 'fleet').catch((error: unknown) => error)).toMatchObject({
    code: 'unknown-flag',
  });
});

test('a flag or a word without a command is looked for everywhere', async () => {
  const { text } = await findHelp(catalog, '--watch', undefined);
  expect(text).toMatch(/dstack ps:\n.*--watch[^]*dstack volume:\n.*--watch/);
  expect((await findHelp(catalog, 'fleets', undefined)).text).toMatch(/dstack \w+.*:\n[^]*fleets/i);
});

test.each([
  ['apply --max-prise', 'unknown-flag', /--max-prise/, /Did you mean --max-price/],
  ['ps --lats', 'unknown-flag', /"--lats" for `ps`/, /Did you mean --last/],
  ['--no-such-flag', 'unknown-flag', /--no-such-flag/, /Omit/],
  ['nosuchword', 'unknown-command', /nosuchword.*documents: /, /upgrade/],
  ['run nosuchword', 'unknown-command', /nosuchword/, /upgrade/],
])('%s is refused', async (asked, code, message, hint) => {
  const error = await refusal(findHelp(catalog, asked, undefined));
  expect(error.code).toBe(code);
  expect(error.message).toMatch(message);
  expect(error.hint).toMatch(hint);
});
