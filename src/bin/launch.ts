// What is started: it loads the server, which is a bundle of its own, with the code that an earlier process compiled.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compileBundle } from './code-cache.ts';
import type { Start } from './main.ts';
import { givenText, stateFolder } from '../settings/state-folder.ts';

declare const BUILD: string;

const { values } = parseArgs({ options: { 'state-dir': { type: 'string' } }, strict: false });
const bundle = compileBundle({
  file: fileURLToPath(new URL('server.cjs', import.meta.url)),
  build: BUILD,
  folder: stateFolder(givenText(values['state-dir']) ?? givenText(process.env['DSTACK_MCP_STATE_DIR'])),
});
const { main } = bundle.run();
const start: Start = {
  file: fileURLToPath(import.meta.url),
  served: async () => {
    if (!bundle.cacheHit) await bundle.writeCache();
  },
};
if (typeof main !== 'function') throw new TypeError('server.cjs is not the bundle of src/main.ts');
await Reflect.apply(main, undefined, [start]);
// Nothing that is still open may hold the end up: every child was ended before.
process.exit();
