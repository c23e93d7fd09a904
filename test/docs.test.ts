import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { renderGeneratedFiles } from '../scripts/docs/generated-files.ts';
import { settleTranscript, takeSteps } from '../scripts/docs/settle-transcript.ts';
import { describeSettings } from '../src/settings.ts';
import { tools } from '../tools/index.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string): Promise<string> => readFile(path.join(root, file), 'utf8');

test.each(await renderGeneratedFiles(root))('$file is in step with the code', async ({ file, text }) => {
  expect(await read(file), `${file} isn't what the code says: npm run generate`).toBe(text);
});

test('every tool and every setting is in the README, and every tool has a section on the tools page', async () => {
  const [readme, page] = await Promise.all([read('README.md'), read('docs/tools.md')]);
  for (const { name } of tools) {
    expect(readme).toContain(`[\`${name}\`](docs/tools.md#${name})`);
    expect(page).toContain(`\n## ${name}\n`);
  }
  for (const { option, env } of describeSettings()) {
    expect(readme).toContain(`\`${option}\``);
    expect(readme).toContain(`\`${env}\``);
  }
});

test('the manifest hands over settings that there are, from fields that it asks for', async () => {
  const manifest = z
    .object({
      server: z.object({ mcp_config: z.object({ env: z.record(z.string(), z.string()) }) }),
      user_config: z.record(z.string(), z.unknown()),
    })
    .parse(JSON.parse(await read('manifest.json')));
  const { env } = manifest.server.mcp_config;
  const known = new Set(describeSettings().map((setting) => setting.env));
  expect(Object.keys(env).filter((name) => !known.has(name))).toEqual([]);
  const asked = Object.values(env).map((value) => /^\$\{user_config\.(\w+)\}$/.exec(value)?.[1] ?? value);
  expect(new Set(asked)).toEqual(new Set(Object.keys(manifest.user_config)));
});

test('every link from one page to another leads to something that is there, and to a heading of it', async () => {
  const pages = [
    'README.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
    'SECURITY.md',
    'docs/architecture.md',
    'docs/safety.md',
  ];
  const broken: string[] = [];
  for (const page of pages) {
    const text = await read(page);
    for (const [, target = ''] of text.matchAll(/\]\((?!https?:)([^)\s]+)\)/g)) {
      const [file = '', heading] = target.split('#');
      const linked = file === '' ? page : path.join(path.dirname(page), file);
      const isThere =
        heading === undefined
          ? existsSync(path.join(root, linked))
          : headingsOf(await read(linked).catch(() => '')).includes(heading);
      if (!isThere) broken.push(`${page}: ${target}`);
    }
  }
  expect(broken).toEqual([]);
});

test('every npm command that a page names is there', async () => {
  const scripts = Object.keys(
    z.object({ scripts: z.record(z.string(), z.string()) }).parse(JSON.parse(await read('package.json'))).scripts,
  );
  const pages = await Promise.all(['README.md', 'CONTRIBUTING.md', 'docs/architecture.md', '.ci/run'].map(read));
  const named = pages.flatMap((page) => [...page.matchAll(/\bnpm run (?:-s )?([\w:-]+)/g)].map(([, name]) => name));
  expect(named.length).toBeGreaterThan(5);
  expect(named.filter((name) => name === undefined || !scripts.includes(name))).toEqual([]);
});

test('a settled transcript names what is another each time, the same thing the same, and nothing else', () => {
  const raw = [
    'starting…',
    '── Plan ──',
    'on http://127.0.0.1:39037, token: 8117tct-s7d7syb-sxpk17g-mavsvsw, until 2026-11-25T02:38:53.263Z  ',
    'id 985e4b3e-583a-4417-87a7-21eb15e4f54f, $0.39/h, 11 sec ago, cost so far $0.02',
    '── Apply ──',
    'with 8117tct-s7d7syb-sxpk17g-mavsvsw, then msskvey-ycq02de-vh6yvqg-kza0g6b [04a306b811f8cfef]',
    '',
    '── How long it took ──',
    'set-up 0.2 s',
  ].join('\n');
  expect(settleTranscript(raw)).toBe(
    [
      '── Plan ──',
      'on http://127.0.0.1:3000, token: <token-1>, until 2026-01-01T00:00:00Z',
      'id <id-1>, $0.39/h, a moment ago, cost so far $0.00',
      '── Apply ──',
      'with <token-1>, then <token-2> [<boundary-1>]',
      '',
    ].join('\n'),
  );
});

test('a step of the demo that the README shows, and that is gone, is an error', () => {
  const transcript = '── Plan ──\nplanned\n\n── Apply ──\napplied\n';
  expect(takeSteps(transcript, ['Apply', 'Plan'])).toBe('── Apply ──\napplied\n\n── Plan ──\nplanned');
  expect(() => takeSteps(transcript, ['Stop'])).toThrow('The demo has no step "Stop"');
});

function headingsOf(text: string): readonly string[] {
  return [...text.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
