import { expect, test } from 'vitest';
import { readClientCapabilities } from '../../../src/mcp/client.ts';

const CARD = 'text/html;profile=mcp-app';
const cards = (settings: unknown): object => ({ extensions: { 'io.modelcontextprotocol/ui': settings } });

test.each<[string, unknown, boolean, boolean]>([
  ['nothing', {}, false, false],
  ['no capabilities at all', undefined, false, false],
  ['something invalid', 'everything', false, false],
  ['elicitation without a mode, which once meant forms', { elicitation: {} }, true, false],
  ['forms by name', { elicitation: { form: {}, url: {} } }, true, false],
  ['only URLs', { elicitation: { url: {} } }, false, false],
  ['cards', cards({ mimeTypes: [CARD] }), false, true],
  ['cards among others', cards({ mimeTypes: ['text/plain', CARD], more: 1 }), false, true],
  ['both', { elicitation: {}, ...cards({ mimeTypes: [CARD] }) }, true, true],
  ['other pages', cards({ mimeTypes: ['text/html'] }), false, false],
  ['cards without MIME types', cards({}), false, false],
  ['cards in an unknown form, and forms', { elicitation: {}, ...cards({ mimeTypes: CARD }) }, true, false],
  ['cards as true', cards(true), false, false],
  [
    'cards outside of extensions',
    { experimental: { 'io.modelcontextprotocol/ui': { mimeTypes: [CARD] } } },
    false,
    false,
  ],
])('a client that declares %s', (_what, declared, showsForms, showsCards) => {
  expect(readClientCapabilities(declared)).toEqual({ showsForms, showsCards, hasRoots: false });
});

test('roots count if they are declared, and an unknown form of them hides nothing else', () => {
  expect(readClientCapabilities({ roots: {} }).hasRoots).toBe(true);
  expect(readClientCapabilities({ roots: { listChanged: true } }).hasRoots).toBe(true);
  expect(readClientCapabilities({ roots: true, elicitation: {} })).toMatchObject({ hasRoots: false, showsForms: true });
});
