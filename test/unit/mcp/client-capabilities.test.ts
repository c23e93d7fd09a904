import { expect, test } from 'vitest';
import { readAbilities } from '../../../src/mcp/client-capabilities.ts';

const CARD = 'text/html;profile=mcp-app';
const cards = (settings: unknown): object => ({ extensions: { 'io.modelcontextprotocol/ui': settings } });

test.each<[string, unknown, boolean, boolean]>([
  ['nothing', {}, false, false],
  ['no capabilities at all', undefined, false, false],
  ['what is no declaration', 'everything', false, false],
  ['forms, as there was nothing else once', { elicitation: {} }, true, false],
  ['forms by name', { elicitation: { form: {}, url: {} } }, true, false],
  ['links alone', { elicitation: { url: {} } }, false, false],
  ['cards', cards({ mimeTypes: [CARD] }), false, true],
  ['cards among others', cards({ mimeTypes: ['text/plain', CARD], more: 1 }), false, true],
  ['both', { elicitation: {}, ...cards({ mimeTypes: [CARD] }) }, true, true],
  ['pages of another kind', cards({ mimeTypes: ['text/html'] }), false, false],
  ['cards without saying which', cards({}), false, false],
  [
    'cards in a way that is not understood, beside forms',
    { elicitation: {}, ...cards({ mimeTypes: CARD }) },
    true,
    false,
  ],
  ['cards by true', cards(true), false, false],
  [
    'cards outside of extensions',
    { experimental: { 'io.modelcontextprotocol/ui': { mimeTypes: [CARD] } } },
    false,
    false,
  ],
])('a client that declares %s', (_what, declared, showsForms, showsCards) => {
  expect(readAbilities(declared)).toEqual({ showsForms, showsCards });
});
