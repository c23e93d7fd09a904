import { readdir } from 'node:fs/promises';
import { execa } from 'execa';
import { expect, test } from 'vitest';
import { findIsolation } from '../../sandbox/machines/isolation.ts';
import { builtServer } from '../support/paths.ts';
import { processesNaming } from '../support/processes.ts';
import { makeTemporary } from '../support/run-command.ts';

test('the demo runs end to end, prints its duration, and leaves nothing behind', async () => {
  const temporary = await makeTemporary();
  const { exitCode, stdout } = await execa(process.execPath, [builtServer, 'demo'], {
    env: { TMPDIR: temporary },
    stdin: 'ignore',
    reject: false,
  });
  expect(exitCode).toBe(0);
  const called = [...stdout.matchAll(/^→ (\w+)/gm)].map(([, tool]) => tool).join(' ');
  const experiment = 'plan apply copy apply exec copy exec copy stop apply get';
  const isIsolated = (await findIsolation()).kind === 'namespaces';
  // A stop that dstack lost is repeated.
  expect(called.replaceAll(/(?:stop apply )+/g, 'stop apply ')).toBe(
    `offer plan apply get ps logs stop apply get plan${isIsolated ? ` ${experiment}` : ''}`,
  );
  const inOrder = [
    'Create task train from train.dstack.yml, $0.39/h',
    'The person chooses: Yes, create task train for $0.39 an hour',
    'approved by person-form',
    'Run train is running',
    'epoch 3: loss 0.33',
    'Stopped. The run train is',
    'Run train is terminated',
    'doesn\'t document "--gpus"',
    ...(isIsolated ? ['y = -4.43e+13 x', 'y = 3.02 x + 1.98', '[image]', 'Run lab is terminated'] : []),
    'How long it took',
    'What to do next',
  ];
  const places = inOrder.map((words) => stdout.indexOf(words));
  expect(places).not.toContain(-1);
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(stdout).toMatch(/^total +\d+\.\d s$/m);
  expect(await processesNaming(temporary)).toEqual([]);
  expect(await readdir(temporary)).toEqual([]);
});
