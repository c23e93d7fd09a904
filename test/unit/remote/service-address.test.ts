import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { addressOf, resolvePath } from '../../../src/remote/http-exchange.ts';

const SERVER = 'https://dstack.example.com/api-root';
const OWN = `${SERVER}/proxy/services/lab/llm/`;

const addressIn = (serviceUrl: string | undefined, more: Partial<Parameters<typeof addressOf>[1]> = {}) =>
  addressOf(
    { name: 'llm', ...(serviceUrl === undefined ? {} : { serviceUrl }) },
    { server: SERVER, project: 'lab', isGateway: (domain) => domain.endsWith('.gw.example.com'), ...more },
  );

test('a service is reached at its own place on the configured server', () => {
  expect(addressIn(OWN)).toMatchObject({ at: 'server', base: { href: OWN } });
  expect(addressIn(OWN, { server: `${SERVER}//` })).toMatchObject({ at: 'server', base: { href: OWN } });
});

test('or over HTTPS on a domain that the operator named', () => {
  expect(addressIn('https://llm.gw.example.com')).toMatchObject({
    at: 'gateway',
    base: { href: 'https://llm.gw.example.com/' },
  });
  expect(addressIn('https://llm.gw.example.com/x')).toMatchObject({ base: { href: 'https://llm.gw.example.com/' } });
});

test.each([
  undefined,
  '',
  'not a url',
  'https://evil.example/proxy/services/lab/llm/',
  'https://dstack.example.com.evil.example/api-root/proxy/services/lab/llm/',
  'https://dstack.example.com@evil.example/api-root/proxy/services/lab/llm/',
  'https://dstack.example.com:444/api-root/proxy/services/lab/llm/',
  'http://dstack.example.com/api-root/proxy/services/lab/llm/',
  'https://dstack.example.com/api-root/proxy/services/lab/other/',
  'https://dstack.example.com/api-root/proxy/services/other/llm/',
  'https://dstack.example.com/api-root/proxy/services/lab/llm/../../../../api/',
  'https://dstack.example.com/api/project/lab/runs/stop',
  `${OWN}?x=`,
  `${OWN}#`,
  'http://169.254.169.254/latest/meta-data/',
  'file:///etc/passwd',
  'http://llm.gw.example.com/',
  'https://llm.gw.example.com:8443/',
  'https://user:pass@llm.gw.example.com/',
  'https://gw.example.com.evil.example/',
  'https://llm.gw.example.com.evil.example/',
])('no other address that the server reports is used: %s', (url) => {
  expect(() => addressIn(url)).toThrow(/neither the configured dstack server nor a gateway/);
});

test('a configured server with credentials in its address, or none, is not used', () => {
  const server = 'https://u:p@dstack.example.com';
  expect(() => addressIn(`${server}/proxy/services/lab/llm/`, { server })).toThrow(/No request and no token was sent/);
  expect(() => addressIn('/proxy/services/lab/llm/', { server: 'a server that is not configured' })).toThrow(/No/);
});

const base = new URL(OWN);

test.each([
  ['/', ''],
  ['/health', 'health'],
  ['/v1/models?limit=5&x=%20a', 'v1/models?limit=5&x=%20a'],
  ['/a..b/.hidden/...', 'a..b/.hidden/...'],
  ['/users/@me:1', 'users/@me:1'],
  ['/%C3%A9%20x/', '%C3%A9%20x/'],
  ['/go?to=//evil/../x?y', 'go?to=//evil/../x?y'],
])('a path within the service is resolved: %s', (given, rest) => {
  expect(resolvePath({ base }, given).href).toBe(`${OWN}${rest}`);
});

test.each([
  '',
  'health',
  '//evil.example/x',
  '/x//evil',
  '\\\\evil.example',
  '/\\evil.example',
  '/..',
  '/../other/',
  '/a/../../other',
  '/./x',
  '/a/.',
  '/..;/x',
  '/a/..;v=1/x',
  '/%2e%2e/other',
  '/%2E./other',
  '/.%2e/other',
  '/..%2fother',
  '/..%5cother',
  '/%252e%252e/other',
  '/%00',
  '/%0d%0aHost:x',
  '/%c0%ae%c0%ae/x',
  '/a b',
  '/a\nHost: evil',
  '/a\r\nX: y',
  '/a\tb',
  '/é',
  '/x#fragment',
  '/x?a=b#c',
  '/x?a=b c',
  '/x?a=\\',
  '/%',
  '/%zz',
  'http://evil.example/',
  '@evil.example/',
  ':8080/',
  '?x=1',
])('a path that could lead out of it is refused: %j', (attack) => {
  expect(() => resolvePath({ base }, attack)).toThrow(/isn't a path within the service. Nothing was sent/);
});

const decodeBytes = (text: string): string =>
  text.replace(/%([0-9a-f]{2})/gi, (_escape, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));

test('whatever a model writes, the request stays below the service', () => {
  const piece = fc.constantFrom(
    '/',
    '.',
    '..',
    '%2e',
    '%2f',
    '%5c',
    '\\',
    '@',
    ':',
    '?',
    '#',
    ';',
    'a',
    '%',
    '\n',
    'é',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      let url: URL;
      try {
        url = resolvePath({ base }, `/${pieces.join('')}`);
      } catch {
        return;
      }
      expect(url.href.startsWith(OWN)).toBe(true);
      // As any server on the way may read it.
      const decoded = decodeBytes(decodeBytes(url.pathname));
      expect(decoded.slice(base.pathname.length).split(/[/\\]/)).not.toContain('..');
    }),
    { numRuns: 2_000 },
  );
});
