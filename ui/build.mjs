// @ts-check
// Makes the card: one HTML file with its script and style inside. Plain JavaScript: it runs before anything is built.
import { build } from 'esbuild';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('.', import.meta.url));

/** Hosts load the card for each result: more than this would be felt. */
const MOST_BYTES = 150_000;

/**
 * Writes the card to a file, and gives what esbuild says of its parts. Its policy lets it load nothing, send nothing, and run no other
 * script than the one that it was built with.
 * @param {string} outfile
 */
export async function buildCard(outfile) {
  const [script, style, page] = await Promise.all([
    bundle('main.ts'),
    bundle('style.css'),
    readFile(path.join(folder, 'card.html'), 'utf8'),
  ]);
  // A function as replacement, since a text gives dollar signs a meaning.
  const whole = page.replace('%STYLE%', () => style.text.trim()).replace('%SCRIPT%', () => script.text);
  const html = whole.replace('%POLICY%', policyFor(whole));
  const size = Buffer.byteLength(html);
  if (size > MOST_BYTES) throw new Error(`The card has ${size} bytes, more than ${MOST_BYTES}.`);
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
  // Colours of the host are set on elements by the script, which a policy for styles doesn't touch.
  return `default-src 'none'; script-src 'sha256-${hash}'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'`;
}

/** @param {string} file */
async function bundle(file) {
  const { outputFiles, metafile } = await build({
    // The root, as for the other bundles: what they hold is told by its path.
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
    // Types are checked elsewhere: the card doesn't change with the settings for that.
    tsconfigRaw: {},
    logLevel: 'warning',
  });
  return { text: outputFiles[0]?.text ?? '', metafile };
}
