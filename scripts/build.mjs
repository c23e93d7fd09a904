// Bundles the server and the sandbox, each into one file. Plain JavaScript: it runs before anything is built.
import { build } from 'esbuild';
import { chmod, cp, rm } from 'node:fs/promises';

const root = new URL('..', import.meta.url).pathname;
// Bundled CommonJS packages use require, __dirname and __filename, which an ES module doesn't have.
const banner = {
  js: "#!/usr/bin/env node\nimport { createRequire as __createRequire } from 'node:module'; const require = __createRequire(import.meta.url); const __filename = import.meta.filename; const __dirname = import.meta.dirname;",
};

export async function buildAll() {
  await rm(`${root}dist`, { recursive: true, force: true });
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
  await Promise.all([
    build({ ...common, entryPoints: ['src/main.ts'], outfile: 'dist/dstack-mcp.mjs', external: ['./sandbox.mjs'] }),
    // ssh2's native parts are optional: it falls back to node:crypto.
    build({
      ...common,
      entryPoints: ['sandbox/main.ts'],
      outfile: 'dist/sandbox.mjs',
      external: ['cpu-features', '*.node', './dstack-mcp.mjs'],
    }),
    cp(`${root}worker`, `${root}dist/worker`, { recursive: true, filter: (from) => !from.includes('__pycache__') }),
  ]);
  await cp(`${root}sandbox/server`, `${root}dist/server`, { recursive: true }).catch(() => undefined);
  await chmod(`${root}dist/dstack-mcp.mjs`, 0o755);
}

if (process.argv[1] === new URL(import.meta.url).pathname) await buildAll();
