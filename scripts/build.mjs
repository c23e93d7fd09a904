// Bundles the server and the sandbox, each into one file. Plain JavaScript: it runs before anything is built.
import { build } from 'esbuild';
import { chmod, cp, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
// Bundled CommonJS packages use require, __dirname and __filename, which an ES module doesn't have.
const banner = {
  js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); const __filename = import.meta.filename; const __dirname = import.meta.dirname;",
};

/** Builds into a folder of its own and puts it in the place of `dist` at the end: what is half built is never run. */
export async function buildAll() {
  const fresh = path.join(root, `.dist-${process.pid}`);
  const old = path.join(root, `.dist-${process.pid}-old`);
  try {
    await buildInto(fresh);
    await rename(path.join(root, 'dist'), old).catch(() => undefined);
    await rename(fresh, path.join(root, 'dist'));
  } finally {
    await Promise.all([fresh, old].map((folder) => rm(folder, { recursive: true, force: true })));
  }
}

async function buildInto(folder) {
  const common = {
    absWorkingDir: root,
    bundle: true,
    platform: 'node',
    target: 'node20.19',
    format: 'esm',
    minify: true,
    keepNames: true,
    legalComments: 'none',
    banner,
    logLevel: 'warning',
  };
  const to = (name) => path.join(folder, name);
  await Promise.all([
    build({ ...common, entryPoints: ['src/main.ts'], outfile: to('dstack-mcp.mjs'), external: ['./sandbox.mjs'] }),
    // ssh2's native parts are optional: it falls back to node:crypto.
    build({
      ...common,
      entryPoints: ['sandbox/main.ts'],
      outfile: to('sandbox.mjs'),
      external: ['cpu-features', '*.node'],
    }),
    cp(path.join(root, 'worker'), to('worker'), { recursive: true, filter: (from) => !from.includes('__pycache__') }),
    cp(path.join(root, 'sandbox', 'server'), to('server'), {
      recursive: true,
      filter: (from) => !from.includes('__pycache__'),
    }),
  ]);
  await chmod(to('dstack-mcp.mjs'), 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await buildAll();
