import { execa } from 'execa';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { normalizeTranscript } from './normalize-transcript.ts';

// Runs the demo and writes its output to docs/demo.txt: npm run lab -- record-demo
const root = path.resolve(import.meta.dirname, '../..');
const { stdout } = await execa(process.execPath, [path.join(root, 'dist', 'dstack-mcp.mjs'), 'demo'], {
  stdin: 'ignore',
  stdout: ['pipe', 'inherit'],
  stderr: 'inherit',
});
await writeFile(path.join(root, 'docs', 'demo.txt'), normalizeTranscript(stdout));
console.log('\nwrote docs/demo.txt');
