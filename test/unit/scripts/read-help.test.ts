import { expect, test } from 'vitest';
import { EXPERIMENTS } from '../../../scripts/lab/experiments.ts';
import { asksForHelp, readHelp } from '../../../scripts/lab/read-help.ts';
import { repositoryRoot } from '../../support/paths.ts';

test.each(EXPERIMENTS)('--help of the experiment $name shows how it is run', async (experiment) => {
  const help = await readHelp(experiment, repositoryRoot);
  expect(help).toContain(`npm run lab -- ${experiment.name}`);
  expect(help).not.toMatch(/^\/\//m);
});

test('--help shows the options that a script describes', async () => {
  const bench = EXPERIMENTS.find(({ name }) => name === 'bench');
  expect(bench && (await readHelp(bench, repositoryRoot))).toContain('[--rounds 15]');
});

test('--help of the program that an experiment runs is passed on', () => {
  expect(asksForHelp(['--times', '3', '--help'])).toBe(true);
  expect(asksForHelp(['-h'])).toBe(true);
  expect(asksForHelp(['--times', '3', '--', '--help'])).toBe(false);
  expect(asksForHelp([])).toBe(false);
});
