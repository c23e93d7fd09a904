// The launcher: loads the server, a separate bundle, with the code that an earlier process compiled.
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { compileBundle } from './code-cache.ts';
import type { Start } from './main.ts';
import { givenText, stateFolder } from '../settings/state-folder.ts';
import { VERSION } from '../settings/version.ts';

declare const BUILD: string;

const argv = process.argv.slice(2);
if (argv.length === 1 && (argv[0] === '--version' || argv[0] === '-v')) {
  process.stdout.write(`${VERSION}\n`);
  process.exit();
}
// Most servers that clients start are never called. V8 would grow the space for new objects to 16 MB during the start, and keep it.
setFlagsFromString('--semi-space-growth-factor=1');
// And it would load its optimizing compiler for the start, which takes 6 MB: only code that runs much longer is worth that.
setFlagsFromString('--interrupt-budget=1000000');
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
if (typeof main !== 'function') throw new TypeError('server.cjs is not the bundle of src/bin/main.ts');
await Reflect.apply(main, undefined, [start]);
// Every child process has ended: nothing that is still open may delay the exit.
process.exit();
