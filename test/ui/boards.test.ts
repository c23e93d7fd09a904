import { expect, test } from 'vitest';
import * as z from 'zod';
import { describeInChromium } from './support/card-browser.ts';
import { setUpBoards } from './support/set-up-boards.ts';

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
  const BIDI = 'run\u202egpj.exe\u200b';
  const LONG = 'x'.repeat(10_000);

  test.each([
    ['markup', MARKUP, MARKUP],
    ['bidirectional and invisible characters', BIDI, 'run⟨U+202E⟩gpj.exe⟨U+200B⟩'],
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
      for (const more of (await card.getByRole('button', { name: 'Show all' }).all()).slice(0, 1)) await more.click();
      await card.getByText(seen).first().waitFor({ state: 'attached' });
      for (const tab of await card.getByRole('tab', { name: 'Connect' }).all()) await tab.click();
      expect(await card.getByRole('button', { name: /^Open/ }).count()).toBe(0);
      expect(await card.locator('img, main script').count()).toBe(0);
      expect(await card.locator('html').evaluate((page) => page.ownerDocument.title)).toBe('dstack');
      await boards.cards.clear();
    }
  });
});
