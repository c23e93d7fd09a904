// @ts-check
// Packs the Claude Desktop bundle, `dstack-mcp-<version>.mcpb`: the manifest and what it names, the one-file server, and what lies beside
// it. It reads `dist/`, which `npm run build` makes.
import { packExtension } from '@anthropic-ai/mcpb';
import { cp, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

const CONTENT = ['manifest.json', 'README.md', 'LICENSE', 'docs/images/icon.png', 'dist'];

/** The commands of the npm package stay out: nobody calls them in there. */
const LEFT_OUT = new Set(
  ['dist/sandbox.cjs', 'dist/server', 'dist/setup.cjs', 'dist/.stamp'].map((name) => path.join(root, name)),
);

/**
 * Writes the bundle into a folder and gives its path. Rejects when the manifest isn't valid.
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
        filter: (file) => !file.includes('__pycache__') && !LEFT_OUT.has(file),
      });
    }
    const outputPath = path.join(folder, `dstack-mcp-${version}.mcpb`);
    const packed = await packExtension({ extensionPath: content, outputPath, silent: true });
    if (!packed) throw new Error('manifest.json is not valid: `npx mcpb validate manifest.json` says what is wrong.');
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
