import { readFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { readSources } from '../support/read-imports.ts';
import { inRepository } from '../support/paths.ts';

const html = readFileSync(inRepository('dist', 'card.html'), 'utf8');
const sources = readSources(['ui']);

test('the card is one page of at most 150 KB without references to load', () => {
  expect(Buffer.byteLength(html)).toBeLessThanOrEqual(150_000);
  expect(html).not.toMatch(
    /\b(?:src|href)=["']|@import|url\(|\bimport\(|\bfetch\(|XMLHttpRequest|WebSocket|EventSource/,
  );
});

test('its policy allows this one script, and no loading or sending', () => {
  const [, policy = ''] = /http-equiv="Content-Security-Policy"\s+content="([^"]+)"/.exec(html) ?? [];
  const [, script = ''] = /<script type="module">([^]*)<\/script>/.exec(html) ?? [];
  const hash = createHash('sha256').update(script).digest('base64');
  expect(policy.split('; ').slice(0, 2)).toEqual(["default-src 'none'", `script-src 'sha256-${hash}'`]);
  expect(html.match(/<script/g)).toHaveLength(1);
});

test('no code turns text into markup or code', () => {
  const markup =
    /innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|DOMParser|srcdoc|\beval\b|new Function/;
  const card = sources.filter(({ file }) => !file.startsWith('ui/host-page/'));
  expect(card.length).toBeGreaterThan(20);
  expect(card.filter(({ code }) => markup.test(code)).map(({ file }) => file)).toEqual([]);
  expect(html).not.toMatch(/\.(?:inner|outer)HTML\s*=|insertAdjacentHTML|document\.write/);
});

test('the card decides in one file, which requires a person’s click', () => {
  expect(sources.filter(({ code }) => code.includes("'decide'")).map(({ file }) => file)).toEqual([
    'ui/consent-panel.ts',
  ]);
});

test('the card imports nothing from the server, and from packages only the types of MCP Apps', () => {
  const card = sources.filter(({ file }) => !file.startsWith('ui/host-page/') && file !== 'ui/build.mjs');
  const foreign = card.flatMap(({ imports }) => imports).filter(({ to }) => !to.startsWith('ui/'));
  expect(foreign.map(({ to, kind }) => `${kind} ${to}`)).toEqual(['type @modelcontextprotocol/ext-apps']);
});
