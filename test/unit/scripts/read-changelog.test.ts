import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { readChangelog } from '../../../scripts/docs/read-changelog.ts';
import { VERSION } from '../../../src/settings/installation.ts';
import { inRepository } from '../../support/paths.ts';

const write = (...sections: readonly string[]): string => ['# Changelog\n', ...sections].join('\n');

test('the changelog has a section for this version in Keep a Changelog format', async () => {
  const text = await readFile(inRepository('CHANGELOG.md'), 'utf8');
  expect(readChangelog(text)[0]).toMatchObject({ version: VERSION, kinds: expect.arrayContaining(['Added']) });
});

test('releases are returned newest first, with their dates and sections', () => {
  const text = write(
    '## [Unreleased]\n',
    '## [1.1.0] - 2026-02-01\n\n### Fixed\n\n- a',
    '## [1.0.0] - unreleased\n\n### Added\n',
  );
  expect(readChangelog(text)).toEqual([
    { version: '1.1.0', date: '2026-02-01', kinds: ['Fixed'] },
    { version: '1.0.0', date: 'unreleased', kinds: ['Added'] },
  ]);
});

test.each([
  ['no Unreleased section', write('## [1.0.0] - 2026-02-01\n\n### Added\n'), /Unreleased/],
  ['a date in another format', write('## [Unreleased]\n', '## [1.0.0] - 1 May\n\n### Added\n'), /1 May/],
  ['an unknown section', write('## [Unreleased]\n', '## [1.0.0] - 2026-02-01\n\n### News\n'), /News/],
])('%s is rejected', (_what, text, says) => {
  expect(() => readChangelog(text)).toThrow(says);
});
