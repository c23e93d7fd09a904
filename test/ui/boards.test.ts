import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { findIsolation } from '../../sandbox/machines/isolation.ts';
import { until } from '../support/wait.ts';
import { expectApproved, press } from './support/approve.ts';
import { describeInChromium } from './support/card-browser.ts';
import { setUpBoards } from './support/set-up-boards.ts';

const isolation = await findIsolation();

describeInChromium('the boards', () => {
  const boards = setUpBoards();
  const { run } = boards;

  test('runs are listed with status, machine, price, cost and age, and filtered', async () => {
    await boards.cards.call('ps');
    const { card } = boards.cards;
    const row = card.getByRole('row').filter({ has: card.getByRole('button', { name: run, exact: true }) });
    await row.getByText('running').waitFor();
    // Cost and age arrive with the details of the run, one run at a time.
    await row.getByText(/^\$\d/).nth(1).waitFor();
    await row.getByText(/^\d+ (?:s|min)/).waitFor();
    await card.getByRole('searchbox', { name: 'Filter runs' }).fill('no such run');
    await card.getByText('No runs.').waitFor();
    await card.getByRole('searchbox', { name: 'Filter runs' }).fill(`${run} running`);
    await row.waitFor();
    expect(await card.locator('tbody tr').count()).toBe(1);
  });

  test('a run’s name opens its page with log, utilization, events and connections, and a way back', async () => {
    await boards.cards.call('ps');
    const { card, page } = boards.cards;
    await card.getByRole('button', { name: run, exact: true }).click();
    await card.getByRole('heading', { name: run, exact: true }).waitFor();
    await card
      .getByRole('region', { name: `Log of ${run}` })
      .getByText('the first line')
      .waitFor();
    expect(await card.getByText('untrusted output').count()).toBe(0);

    await card.getByRole('tab', { name: 'Logs' }).focus();
    await page.keyboard.press('ArrowRight');
    expect(await card.getByRole('tab', { name: 'Utilization' }).getAttribute('aria-selected')).toBe('true');
    await card.getByRole('img', { name: /cpu busy: \d+% now/ }).waitFor();

    await card.getByRole('tab', { name: 'Events' }).click();
    await card.getByText('Run submitted. Status: SUBMITTED').waitFor();

    await card.getByRole('tab', { name: 'Connect' }).click();
    await card.getByText('8000 at localhost:8000').waitFor();
    expect((await boards.cards.activity()).links).toEqual([]);
    await card.getByRole('button', { name: 'Copy: Ports' }).click();
    await card
      .getByRole('button', { name: 'Copy: Ports' })
      .getByText(/Copied|Select/)
      .waitFor();

    await card.getByRole('button', { name: '← All runs' }).click();
    await card.getByRole('heading', { name: 'Runs' }).waitFor();
  });

  test('get shows the run’s page, and addresses open only on a click', async () => {
    const result = await boards.cards.call('get', { name: run });
    await boards.cards.clear();
    const facts = { ...z.record(z.string(), z.unknown()).parse(result.facts['run']) };
    const shown = {
      ...facts,
      name: 'elsewhere',
      serviceUrl: 'https://run.example.test/',
      isFinished: true,
      status: 'done',
    };
    await boards.cards.show({ content: [], structuredContent: { outcome: 'done', run: shown } });
    await boards.cards.card.getByRole('tab', { name: 'Connect' }).click();
    await boards.cards.card.getByText('https://run.example.test/', { exact: true }).waitFor();
    expect((await boards.cards.activity()).links).toEqual([]);
    await boards.cards.card.getByRole('button', { name: 'Open: Service' }).click();
    await expect.poll(async () => (await boards.cards.activity()).links).toEqual(['https://run.example.test/']);
  });

  test('offers are listed by price, filtered, and drawn as a chart', async () => {
    await boards.cards.call('offer');
    const { card } = boards.cards;
    const rows = card.locator('tbody tr');
    await rows.first().waitFor();
    expect(await card.getByRole('listitem').filter({ hasText: 'H100 80GB' }).isVisible()).toBe(true);
    await card.getByRole('searchbox').fill('h100');
    await expect
      .poll(() => rows.allTextContents())
      .toSatisfy((texts: string[]) => texts.every((text) => text.includes('H100')));
    await card.getByRole('spinbutton', { name: 'Maximum price, $/h' }).fill('0.01');
    await card.getByText('No offers match.').waitFor();
    await boards.cards.clear();
    await boards.cards.call('offer', { group_by: ['gpu'] });
    await card
      .getByRole('table', { name: 'GPUs' })
      .getByText(/H100 80GB/)
      .first()
      .waitFor();
  });

  test('five thousand offers are counted, sorted and drawn page by page', async () => {
    const offers = Array.from({ length: 5_000 }, (_, index) => ({
      backend: `cloud-${index % 7}`,
      region: `region-${index % 31}`,
      instanceType: `machine.${index}`,
      gpu: `GPU${index % 40}:24GB:1`,
      spot: index % 2 === 0,
      pricePerHour: 5_000 - index,
      availability: 'available',
    }));
    await boards.cards.show({ content: [], structuredContent: { outcome: 'done', offers, total: 5_000 } });
    const { card } = boards.cards;
    await card.getByText('5000 of 5000').waitFor();
    expect(await card.locator('tbody tr').count()).toBeLessThan(20);
    expect(await card.locator('*').count()).toBeLessThan(1_000);
    await card.getByRole('columnheader', { name: 'Per hour' }).getByRole('button').click();
    await card.locator('tbody tr').first().getByText('$1.00').waitFor();
    await card.getByRole('button', { name: /^Show \d+ more of 5000$/ }).click();
    expect(await card.locator('tbody tr').count()).toBeLessThan(100);
    await card.getByRole('searchbox').fill('machine.4999');
    await expect.poll(() => card.locator('tbody tr').count()).toBe(1);
  });

  test('dates follow the host’s locale, and prices are the same in every locale', async () => {
    const started = { name: 'dated', status: 'done', isFinished: true, pricePerHour: 1234.5, costUsd: 0.1234 };
    const runs = [{ ...started, submittedAt: '2026-01-01T12:00:00Z' }];
    const expectRow = async (title: RegExp): Promise<void> => {
      await boards.cards.setAppearance({ isSilent: true });
      await boards.cards.show({ content: [], structuredContent: { outcome: 'done', runs } });
      await expect.poll(() => boards.cards.card.locator('tbody').textContent()).toContain('$1234.50$0.1234');
      expect(await boards.cards.card.locator('time').getAttribute('title')).toMatch(title);
      await boards.cards.clear();
    };
    await boards.cards.setAppearance({ locale: 'de-DE', timeZone: 'Europe/Berlin' });
    await expectRow(/^01\.01\.2026, 13:00$/);
    await boards.cards.setAppearance({ locale: 'not a locale', timeZone: 'Nowhere/Land' });
    await expectRow(/2026/);
  });

  const MARKUP = '<img src=x onerror="document.title=1"><script>document.title=2</script>';
  const LONG = 'x'.repeat(10_000);

  test.each([
    [
      'markup with bidirectional and invisible characters',
      `${MARKUP}run\u202egpj.exe\u200b`,
      `${MARKUP}run⟨U+202E⟩gpj.exe⟨U+200B⟩`,
    ],
    ['ten thousand characters', LONG, LONG],
  ])('shows %s in any field as inert text', async (_what, hostile, seen) => {
    const { card } = boards.cards;
    const facts = { outcome: 'done', summary: hostile, output: `$ dstack x\n${hostile}`, next: hostile };
    const change = {
      action: hostile,
      resource: { kind: hostile, name: hostile },
      project: hostile,
      server: hostile,
      losses: [hostile],
      warnings: [hostile],
      flags: [hostile],
    };
    const place = { backend: hostile, region: hostile, instanceType: hostile, gpu: hostile, resources: hostile };
    const offers = [{ ...place, spot: false, pricePerHour: 1, availability: hostile }];
    const row = { ...place, name: hostile, status: hostile, error: hostile, submitted: hostile };
    const job = { name: hostile, status: hostile, error: hostile };
    const shown = [
      {
        ...facts,
        operation: 'create',
        changes: [hostile],
        blockers: [{ code: 'x', message: hostile, hint: hostile }],
        offers,
        summary: hostile,
      },
      { ...facts, runs: [row] },
      {
        ...facts,
        run: {
          ...row,
          isFinished: true,
          serviceUrl: hostile,
          sshCommand: hostile,
          ideUrl: `javascript:${hostile}`,
          jobs: [job, job],
        },
      },
      { ...facts, offers },
      { ...facts, gpus: [{ gpu: hostile, pricePerGpuMin: 1, pricePerGpuMax: 2, backends: hostile }] },
      facts,
    ];
    await boards.cards.setAppearance({ isSilent: true });
    for (const structuredContent of shown) {
      const _meta = { 'dstack-mcp/card': { summary: change } };
      await boards.cards.show({
        content: [],
        structuredContent,
        ...('operation' in structuredContent ? { _meta } : {}),
      });
      await card.locator('.data').first().waitFor();
      expect((await card.locator('main').innerText()).length).toBeLessThan(LONG.length * 1.5);
      // Chromium discards clicks into a frame that has just moved.
      await until(
        async () => {
          for (const more of (await card.getByRole('button', { name: 'Show all' }).all()).slice(0, 1))
            await more.click();
          return card.getByText(seen).count();
        },
        (count) => count > 0,
      );
      for (const tab of await card.getByRole('tab', { name: 'Connect' }).all()) await tab.click();
      expect(await card.getByRole('button', { name: /^Open/ }).count()).toBe(0);
      expect(await card.locator('img, main script').count()).toBe(0);
      expect(await card.locator('html').evaluate((page) => page.ownerDocument.title)).toBe('dstack');
      await boards.cards.clear();
    }
  });

  describe('a use of a run', () => {
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
      await show(
        { outcome: 'waiting', summary: 'The upload goes on.', bytes: 26_214_400, ofBytes: 104_857_600 },
        input,
      );
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
});
