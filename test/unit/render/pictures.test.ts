import { expect, test } from 'vitest';
import { readPicture } from '../../../src/render/pictures.ts';

test.each([
  ['image/png', '\u0089PNG\r\n\u001a\n...'],
  ['image/jpeg', '\u00ff\u00d8\u00ff\u00e0...'],
  ['image/gif', 'GIF89a...'],
  ['image/gif', 'GIF87a...'],
  ['image/webp', 'RIFF\u0001\u0002\u0003\u0004WEBPVP8 '],
])('the first bytes of %s make a picture', (mimeType, text) => {
  const bytes = Buffer.from(text, 'latin1');
  expect(readPicture(bytes)).toEqual({ mimeType, data: bytes.toString('base64') });
});

test.each([
  '',
  'GIF',
  'GIF88a',
  '<svg xmlns="http://www.w3.org/2000/svg">',
  'RIFF\u0001\u0002\u0003\u0004WAVE',
  ' \u0089PNG',
])('%j is not a picture', (text) => {
  expect(readPicture(Buffer.from(text, 'latin1'))).toBeUndefined();
});
