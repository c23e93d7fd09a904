import { execa } from 'execa';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { settleTranscript } from './docs/settle-transcript.ts';

// Runs the demo and keeps what it printed in docs/demo.txt, of which `npm run generate` takes a part into the README.
const root = path.resolve(import.meta.dirname, '..');
const { stdout } = await execa(process.execPath, [path.join(root, 'dist', 'dstack-mcp.mjs'), 'demo'], {
  stdin: 'ignore',
  stdout: ['pipe', 'inherit'],
  stderr: 'inherit',
});
await writeFile(path.join(root, 'docs', 'demo.txt'), settleTranscript(stdout));
console.log('\nwrote docs/demo.txt; `npm run generate` brings the README in step');
