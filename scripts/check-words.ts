// Rejects wordings that the style guide in CONTRIBUTING.md replaces: npm run check:words [-- files or folders]
import { execa } from 'execa';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { WORD_RULES } from './words.ts';

const root = path.resolve(import.meta.dirname, '..');
const CHECKED = /\.(?:md|ts|mjs|py|ya?ml|css|html)$|^(?:package|manifest|server)\.json$/;
/** Texts of others, recorded output, and the rules. */
const SKIPPED = /^(?:test\/fixtures\/|docs\/demo\.txt|scripts\/words\.ts|test\/unit\/scripts\/words|LICENSE)/;

/** Lines between these comments are not checked. */
const [OFF, ON] = ['<!-- words: off -->', '<!-- words: on -->'];

const { stdout } = await execa('git', ['ls-files', '-co', '--exclude-standard', '--', ...process.argv.slice(2)], {
  cwd: root,
});
const files = stdout.split('\n').filter((file) => CHECKED.test(file) && !SKIPPED.test(file));
const findings = (await Promise.all(files.map(check))).flat();
for (const finding of findings) console.log(finding);
if (findings.length > 0) console.log(`\n${findings.length} rejected wordings: see the style guide in CONTRIBUTING.md.`);
process.exitCode = findings.length === 0 ? 0 : 1;

async function check(file: string): Promise<string[]> {
  // Deleted, but not committed yet.
  const text = await readFile(path.join(root, file), 'utf8').catch(() => '');
  let isOn = true;
  return text.split('\n').flatMap((line, index) => {
    if (line.includes(OFF)) isOn = false;
    if (line.includes(ON)) isOn = true;
    if (!isOn) return [];
    return WORD_RULES.flatMap(({ pattern, instead }) => {
      const found = new RegExp(pattern, 'iu').exec(line);
      return found === null ? [] : [`${file}:${index + 1}:${found.index + 1}: "${found[0].trim()}": ${instead}`];
    });
  });
}
