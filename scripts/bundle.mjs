// @ts-check
// Packs the Claude Desktop bundle, `dstack-mcp-<version>.mcpb`, from the manifest and `dist/`, which `npm run build` creates.
import { packExtension } from '@anthropic-ai/mcpb';
import { cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const CONTENT = ['manifest.json', 'README.md', 'LICENSE', 'docs/images/icon.png', 'dist'];

/** Commands of the npm package, which nobody can run from the bundle. */
const EXCLUDED = new Set(
  ['dist/sandbox.cjs', 'dist/server', 'dist/setup.cjs', 'dist/.stamp'].map((name) => path.join(root, name)),
);

/**
 * Writes the bundle into a folder and returns its path. Rejects if the manifest is invalid.
 * @param {string} folder
 * @returns {Promise<string>}
 */
export async function bundle(folder) {
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  const content = await mkdtemp(path.join(os.tmpdir(), 'dstack-mcp-bundle-'));
  try {
    for (const name of CONTENT) {
      await cp(path.join(root, name), path.join(content, name), {
        recursive: true,
        filter: (file) => !file.includes('__pycache__') && !EXCLUDED.has(file),
      });
    }
    const outputPath = path.join(folder, `dstack-mcp-${version}.mcpb`);
    const packed = await packExtension({ extensionPath: content, outputPath, silent: true });
    if (!packed) throw new Error('manifest.json is invalid: run `npx mcpb validate manifest.json` for details.');
    return outputPath;
  } finally {
    await rm(content, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = await bundle(root);
  const { size } = await stat(file);
  console.error(`${path.basename(file)}: ${(size / 1_000_000).toFixed(2)} MB`);
}
