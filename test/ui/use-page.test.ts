import { expect, test } from 'vitest';
import { findIsolation } from '../../sandbox/machines/isolation.ts';
import { expectApproved, press } from './support/approve.ts';
import { describeInChromium } from './support/card-browser.ts';
import { setUpBoards } from './support/set-up-boards.ts';

const isolation = await findIsolation();

describeInChromium('the card of a use of a run', () => {
  const boards = setUpBoards();

  const show = (facts: object, input: Record<string, unknown>): Promise<void> =>
    boards.cards.show({ content: [], _meta: { 'dstack-mcp/card': { view: 'use', facts } } }, input);

  test.skipIf(isolation.kind === 'none')(
    'the first command asks in the card, the next one shows its output, and the consent is revoked there',
    async () => {
      const { cards, run } = boards;
      const command = { run, command: 'echo from the run' };
      const asked = await cards.call('exec', command);
      expect(asked.facts['operation']).toBe('access');
      await press(cards, cards.card.getByRole('button', { name: 'Approve' }));
      await expectApproved(cards.card);
      await cards.call('exec', command);
      await cards.card.getByRole('heading', { name: 'Command succeeded' }).waitFor();
      await cards.card
        .getByRole('region', { name: `Output of ${run}` })
        .getByText('from the run')
        .waitFor();
      await cards.card.getByRole('button', { name: 'Revoke' }).click();
      await cards.card.getByText(`The consent to use ${run} is revoked.`).waitFor();
      expect((await cards.call('exec', command)).facts['operation']).toBe('access');
    },
  );

  test('a command shows its text, exit code, output, and until when commands are allowed', async () => {
    const command = 'python train.py\necho <b>done</b>';
    await show(
      {
        outcome: 'done',
        summary: 'The command ended with exit code 3.',
        run: 'dev',
        exitCode: 3,
        durationMs: 2_400,
        stdoutBytes: 2_048,
        output: 'loss 0.5\n<img src=x onerror=alert(1)>',
        grantedUntil: '2026-11-30T18:00:00Z',
      },
      { run: 'dev', command },
    );
    const { card } = boards.cards;
    await card.getByRole('heading', { name: 'Command failed with exit code 3' }).waitFor();
    await card.getByText('2.4 s', { exact: true }).waitFor();
    await card.getByText('2.0 KB', { exact: true }).waitFor();
    // Text of a run never becomes markup.
    await card.getByRole('region', { name: 'Output of dev' }).getByText('<img src=x onerror=alert(1)>').waitFor();
    await card.getByText('Command', { exact: true }).click();
    await card.getByRole('region', { name: 'Command', exact: true }).getByText('echo <b>done</b>').waitFor();
    await card.getByText('Commands and uploads in dev are allowed until it ends, and at most until Nov 30').waitFor();
    await card.getByRole('button', { name: 'Revoke' }).waitFor();
    expect(boards.cards.problems).toEqual([]);
  });

  test('background commands are listed with their states', async () => {
    const jobs = [
      { id: '0a1b2c3d', state: 'running' },
      { id: '1a1b2c3d', state: 'ended', exitCode: 0 },
    ];
    await show(
      { outcome: 'done', summary: '2 background commands.', run: 'dev', jobs },
      { run: 'dev', action: 'list' },
    );
    await boards.cards.card.getByRole('cell', { name: 'ended (exit code 0)' }).waitFor();
    expect(await boards.cards.card.getByRole('button', { name: 'Revoke' }).count()).toBe(0);
  });

  test('a copy shows its files, size, and check', async () => {
    const input = { run: 'dev', direction: 'download', local: 'plot.png', remote: 'plot.png' };
    await show(
      { outcome: 'done', summary: 'Downloaded 1 file.', files: 1, bytes: 3_145_728, same: 0, checkedBy: 'sha256' },
      input,
    );
    await boards.cards.card.getByRole('heading', { name: 'Download' }).waitFor();
    await boards.cards.card.getByText('3.0 MB', { exact: true }).waitFor();
    await boards.cards.card.getByText('sha256', { exact: true }).waitFor();
    expect(boards.cards.problems).toEqual([]);
  });

  test('a copy that goes on shows how far it is', async () => {
    const input = { run: 'dev', direction: 'upload', local: 'model', remote: 'model' };
    await show({ outcome: 'waiting', summary: 'The upload goes on.', bytes: 26_214_400, ofBytes: 104_857_600 }, input);
    const bar = boards.cards.card.getByRole('progressbar', { name: 'Copied' });
    expect(await bar.getAttribute('value')).toBe('0.250');
    await boards.cards.card.getByText('25.0 MB of 100.0 MB', { exact: true }).waitFor();
    expect(boards.cards.problems).toEqual([]);
  });

  test('a load check shows latency, tokens per second and the price of a million tokens', async () => {
    const load = {
      sent: 20,
      answered: 19,
      latency: { p50: 340, p90: 800, p99: 1_200 },
      tokensPerSecond: 81.25,
      dollarsPerMillionTokens: 1.5,
    };
    await show(
      { outcome: 'done', summary: '19 of 20 requests were answered.', state: 'warm', httpStatus: 200, load },
      { run: 'llm', chat: 'Hello', load: { requests: 20 } },
    );
    for (const text of ['19 of 20', '340 ms', '1.2 s', '81.3', '$1.50'])
      await boards.cards.card.getByText(text, { exact: true }).waitFor();
    expect(boards.cards.problems).toEqual([]);
  });
});
