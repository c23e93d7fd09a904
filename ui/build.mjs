// @ts-check
// Builds the card: one HTML file with its script and style inside. Plain JavaScript, since it runs before anything is built.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** Hosts load the card for every result, so a larger one would be noticeable. */
const MAX_BYTES = 150_000;

/**
 * Writes the card to a file and returns the esbuild metafiles of its script and style. Its policy allows only the script that it was
 * built with, and no loading or sending.
 * @param {string} outfile
 */
export async function buildCard(outfile) {
  const [script, style, page] = await Promise.all([
    bundle('main.ts'),
    bundle('style.css'),
    readFile(path.join(folder, 'card.html'), 'utf8'),
  ]);
  // Functions as replacements, since dollar signs have a meaning in strings.
  const whole = page.replace('%STYLE%', () => style.text.trim()).replace('%SCRIPT%', () => script.text);
  const html = whole.replace('%POLICY%', policyFor(whole));
  const size = Buffer.byteLength(html);
  if (size > MAX_BYTES) throw new Error(`The card has ${size} bytes, more than ${MAX_BYTES}.`);
  await writeFile(outfile, html);
  return [script.metafile, style.metafile];
}

/**
 * @param {string} page
 * @returns {string}
 */
function policyFor(page) {
  const [, script = ''] = /<script type="module">([^]*)<\/script>/.exec(page) ?? [];
  const hash = createHash('sha256').update(script).digest('base64');
  // The script sets the host's colors on elements, which a style policy doesn't restrict.
  return `default-src 'none'; script-src 'sha256-${hash}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'`;
}

/** @param {string} file */
async function bundle(file) {
  const { outputFiles, metafile } = await build({
    // The root, as for the other bundles, since describe-bundled.mjs reads paths relative to it.
    absWorkingDir: path.dirname(folder),
    metafile: true,
    outdir: folder,
    entryPoints: [path.join(folder, file)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: ['chrome111', 'firefox115', 'safari16.4'],
    minify: true,
    legalComments: 'none',
    charset: 'utf8',
    // Type-checking settings must not change the card.
    tsconfigRaw: {},
    logLevel: 'warning',
  });
  return { text: outputFiles[0]?.text ?? '', metafile };
}
