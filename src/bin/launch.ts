// The launcher: loads the server and its engine, which are separate bundles, with the code that an earlier process compiled.
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { compileBundle } from './code-cache.ts';
import type { CompiledBundle } from './code-cache.ts';
import type { Start } from './main.ts';
import { givenText, stateFolder, VERSION } from '../settings/installation.ts';

/** The hash of each bundle that has cached code. */
declare const BUILDS: Readonly<Record<string, string>>;

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
const folder = stateFolder(givenText(values['state-dir']) ?? givenText(process.env['DSTACK_MCP_STATE_DIR']));
const loadOther = createRequire(import.meta.url);
const loaded: CompiledBundle[] = [];

/** Loads a bundle next to this file, and what it loads in turn. */
function load(name: string): unknown {
  const build = BUILDS[path.basename(name)];
  if (build === undefined) return loadOther(name);
  const bundle = compileBundle({ file: fileURLToPath(new URL(name, import.meta.url)), build, folder });
  loaded.push(bundle);
  return bundle.run(load);
}

const start: Start = {
  file: fileURLToPath(import.meta.url),
  async served() {
    for (const bundle of loaded) if (!bundle.cacheHit) await bundle.writeCache();
  },
};
const server = load('./server.cjs');
const main: unknown = typeof server === 'object' && server !== null && 'main' in server ? server.main : undefined;
if (typeof main !== 'function') throw new TypeError('server.cjs is not the bundle of src/bin/main.ts');
await Reflect.apply(main, undefined, [start]);
// Every child process has ended: nothing that is still open may delay the exit.
process.exit();
