// Runs one experiment, after the setup that it needs: npm run lab -- <name> [options]
import { execa } from 'execa';
import path from 'node:path';
import { EXPERIMENTS, commandOf } from './experiments.ts';
import { asksForHelp, readHelp } from './read-help.ts';

const root = path.resolve(import.meta.dirname, '../..');
const [name, ...args] = process.argv.slice(2);
const experiment = EXPERIMENTS.find((one) => one.name === name);
if (experiment === undefined) {
  if (name !== undefined) console.error(`Unknown experiment: ${name}\n`);
  console.log('npm run lab -- <name> [options]\n');
  for (const { name: known, what } of EXPERIMENTS) console.log(`  ${known.padEnd(12)} ${what}`);
  process.exitCode = name === undefined ? 0 : 2;
} else if (asksForHelp(args)) {
  console.log(await readHelp(experiment, root));
} else {
  const { setup = [] } = experiment;
  const options = { cwd: root, stdio: 'inherit', preferLocal: true, reject: false } as const;
  const prepared = await execa(process.execPath, ['scripts/bootstrap.mjs', ...setup], options);
  const [program, ...own] = commandOf(experiment);
  process.exitCode = prepared.exitCode === 0 ? ((await execa(program, [...own, ...args], options)).exitCode ?? 1) : 1;
}
