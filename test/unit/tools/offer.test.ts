import { expect, test } from 'vitest';
import { offer } from '../../../tools/offer.ts';
import { readFixture } from '../../support/read-fixture.ts';

/** Calls the tool with recorded output. `allowed` is the output of `dstack offer` for the project's fleets. */
async function callOffer(input: object, allowed: string, exclusion?: string, listed = all) {
  const commands: unknown[] = [];
  const read = async ({ command, flags }: { command: string; flags: Record<string, unknown> }) => {
    commands.push([command, flags['--fleet']]);
    if (command === 'fleet') return readFixture('fleet');
    if (flags['--fleet'] === undefined) return { ...readFixture('offer'), stdout: listed };
    return { ...readFixture('offer'), stdout: allowed };
  };
  const context = { dstack: { read }, exclusions: () => () => exclusion };
  // The tool needs no more of its context than this.
  const report: unknown = await Reflect.apply(offer.prepare(input), undefined, [context]);
  return { commands, report };
}

const { stdout: all } = readFixture('offer');
const withoutRow = (text: string): string =>
  all
    .split('\n')
    .filter((line) => !line.includes(text))
    .join('\n');

test('offers that no fleet of the project allows are marked, since dstack ignores the fleets', async () => {
  const { commands, report } = await callOffer({}, withoutRow('rtx5090.1'));
  expect(commands).toEqual([
    ['offer', undefined],
    ['fleet', undefined],
    ['offer', ['lab-cloud']],
  ]);
  expect(report).toMatchObject({ details: ['excluded: #2 (no fleet of the project allows it)'] });
});

test('a limit of this server is named before the fleets', async () => {
  const { report } = await callOffer({}, withoutRow('rtx5090.1'), 'the cap');
  expect(report).toMatchObject({ details: ['excluded: #1-3 (the cap)'] });
});

test.each<[string, string]>([
  ['they allow all', all],
  ["dstack's output can't be read", 'another format'],
])('no offer is marked when %s', async (_when, allowed) => {
  expect((await callOffer({}, allowed)).report).toMatchObject({ details: [] });
});

test('an offer that may be missing only because the list was cut is not marked', async () => {
  const cut = withoutRow('rtx5090.1').replace(/^.*rtx5090\.2.*$/m, '');
  const shown = ' Shown 1 of 9 offers, $31.6max\n';
  const { report } = await callOffer({}, cut.replace(/\n+Hint/, `\n${shown}\nHint`));
  expect(report).toMatchObject({ details: [] });
});

test('every offer is marked when the fleets allow none', async () => {
  const { report } = await callOffer({}, 'No matching instance offers available. See https://dstack.ai');
  expect(report).toMatchObject({ details: ['excluded: #1-3 (no fleet of the project allows it)'] });
});

test('offers of named fleets are not compared with anything', async () => {
  const { commands } = await callOffer({ fleet: ['lab-cloud'] }, withoutRow('Hint:'));
  expect(commands).toEqual([['offer', ['lab-cloud']]]);
});

test('machines without a GPU, which dstack lists unless one is asked for, are counted', async () => {
  const mixed = all.replace(/gpu=\S+(?= +rtx5090\.1)/, (gpu) => ' '.repeat(gpu.length));
  const { report } = await callOffer({}, all, undefined, mixed);
  expect(report).toMatchObject({
    summary: '3 of 3 offers, 2 of them with a GPU.',
    next: expect.stringMatching(/^With gpu "1\.\.", only offers with a GPU are listed\. To use one: /),
  });
  expect((await callOffer({ gpu: '0..' }, all, undefined, mixed)).report).toMatchObject({ summary: '3 of 3 offers.' });
  expect((await callOffer({}, all)).report).toMatchObject({ summary: '3 of 3 offers.' });
});
