// @ts-check
// Bundles the server, its launcher, the sandbox and the card, each into one file. Plain JavaScript, because it runs before any build.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildCard } from '../ui/build.mjs';
import { hashBuildInputs, writeStamp } from './build-stamp.mjs';
import { describeBundled } from './describe-bundled.mjs';
import { leanSdk } from './lean-sdk.mjs';

const root = fileURLToPath(new URL('..', import.meta.url));

const OWN_URL = "const __url = require('node:url').pathToFileURL(__filename).href;";

/** @type {import('esbuild').BuildOptions} */
const common = {
  absWorkingDir: root,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  // V8's compiled code can be cached for scripts (src/bin/code-cache.ts), and they load only scripts.
  format: 'cjs',
  supported: { 'dynamic-import': false },
  banner: { js: OWN_URL },
  define: { 'import.meta.url': '__url' },
  // Names are not minified: they occur in errors, and `keepNames` costs a fifth of the startup time.
  minifyWhitespace: true,
  minifySyntax: true,
  legalComments: 'none',
  // Its CommonJS build can't be bundled.
  alias: { 'jsonc-parser': 'jsonc-parser/lib/esm/main.js' },
  logLevel: 'warning',
};

/** Builds `dist/`. The new folder replaces the old one at the end, so that a server can start during a build. */
export async function buildAll() {
  const made = path.join(root, '.cache', `build-${process.pid}`);
  const old = path.join(root, '.cache', `replaced-${process.pid}`);
  const dist = path.join(root, 'dist');
  try {
    await mkdir(made, { recursive: true });
    const inputs = hashBuildInputs();
    const built = await Promise.all([
      bundleProgram(made),
      bundleOnDemand(made, 'setup', 'src/setup/setup-command.ts'),
      // Tree shaking needs OpenTelemetry's ES modules; it removes four fifths of the size.
      bundleOnDemand(made, 'traces', 'src/observability/traces.ts', { mainFields: ['module', 'main'] }),
      bundleOnDemand(made, 'archive', 'src/remote/archive-reader.ts'),
      // ssh2's native modules are optional: it falls back to node:crypto.
      bundleOnDemand(made, 'sandbox', 'sandbox/main.ts', { external: ['cpu-features', '*.node', './dstack-mcp.mjs'] }),
    ]);
    await describeBundled(root, made, built.flat());
    writeStamp(made, inputs);
    if (existsSync(dist)) await rename(dist, old);
    await rename(made, dist);
  } finally {
    await Promise.all([made, old].map((folder) => rm(folder, { recursive: true, force: true })));
  }
}

/**
 * Loads the sandbox, the client setup, the traces and the reader of archives on demand, from bundles next to the server's.
 * @type {import('esbuild').Plugin}
 */
const separateBundles = {
  name: 'separate-bundles',
  setup(bundler) {
    bundler.onResolve({ filter: /\/sandbox\/main\.ts$|\/setup\/setup-command\.ts$/ }, ({ path: file }) => ({
      path: `./${path.basename(path.dirname(file))}.cjs`,
      external: true,
    }));
    bundler.onResolve({ filter: /\/engine\.ts$/ }, ({ importer }) =>
      importer.endsWith('main.ts') ? { path: './engine.cjs', external: true } : undefined,
    );
    bundler.onResolve({ filter: /\/traces\.ts$/ }, () => ({ path: './traces.cjs', external: true }));
    bundler.onResolve({ filter: /\/archive-reader\.ts$/ }, () => ({ path: './archive.cjs', external: true }));
  },
};

/**
 * Bundles the launcher, and what it loads with V8's cached code.
 * @param {string} folder
 */
async function bundleProgram(folder) {
  const server = await bundleForLauncher(folder, 'server', 'src/bin/main.ts', [separateBundles, leanSdk]);
  const engine = await bundleForLauncher(folder, 'engine', 'src/bin/engine.ts', [separateBundles]);
  const outfile = path.join(folder, 'dstack-mcp.mjs');
  const launcher = await build({
    ...common,
    format: 'esm',
    banner: { js: '#!/usr/bin/env node' },
    define: { BUILDS: JSON.stringify({ 'server.cjs': server.hash, 'engine.cjs': engine.hash }) },
    metafile: true,
    entryPoints: ['src/bin/launch.ts'],
    outfile,
  });
  await chmod(outfile, 0o755);
  const cardMetafiles = await buildCard(path.join(folder, 'card.html'));
  await copyFolder('worker', path.join(folder, 'worker'));
  await copyFolder('skills', path.join(folder, 'skills'));
  await copyFolder('sandbox/server', path.join(folder, 'server'));
  return [server.metafile, engine.metafile, launcher.metafile, ...cardMetafiles];
}

/**
 * @param {string} folder
 * @param {string} name
 * @param {string} entryPoint
 * @param {import('esbuild').Plugin[]} plugins
 */
async function bundleForLauncher(folder, name, entryPoint, plugins) {
  const outfile = path.join(folder, `${name}.cjs`);
  const { metafile } = await build({
    ...common,
    metafile: true,
    entryPoints: [entryPoint],
    outfile,
    // The launcher runs the unchanged file: a text that it had to put together would be in memory twice.
    banner: { js: `(function (exports, require, module, __filename, __dirname) {${OWN_URL}` },
    footer: { js: '})' },
    plugins,
  });
  const text = await readFile(outfile);
  // Regular expressions keep their characters; a single one that isn't ASCII doubles the memory of the whole text.
  const other = text.findIndex((byte) => byte > 0x7f);
  if (other !== -1) throw new Error(`${name}.cjs isn't ASCII: ${text.toString('utf8', other - 60, other + 20)}`);
  return { metafile, hash: createHash('sha256').update(text).digest('hex') };
}

/**
 * Bundles what is loaded on demand.
 * @param {string} folder
 * @param {string} name
 * @param {string} entryPoint
 * @param {import('esbuild').BuildOptions} [options]
 */
async function bundleOnDemand(folder, name, entryPoint, options) {
  const outfile = path.join(folder, `${name}.cjs`);
  const { metafile } = await build({ ...common, ...options, metafile: true, entryPoints: [entryPoint], outfile });
  return metafile;
}

/**
 * @param {string} from
 * @param {string} to
 */
function copyFolder(from, to) {
  return cp(path.join(root, from), to, { recursive: true, filter: (file) => !file.includes('__pycache__') });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await buildAll();
  console.log('Built dist/. Next: node dist/dstack-mcp.mjs doctor');
}
