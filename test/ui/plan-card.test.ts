import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { countRuns, runNames, stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { approve, approvePlan, expectRunning, planInCard, press } from './support/approve.ts';
import { describeInChromium, openBrowser } from './support/card-browser.ts';
import { openCards } from './support/open-cards.ts';
import type { Cards } from './support/open-cards.ts';

const atEnd = collectEnds(afterAll);
const ERAS = ['2026-07-28', '2025-11-25'] as const;
let home: TestHome;
/** One connection per era. The page is the same in both: each has some of the tests. */
let connected: Readonly<Record<(typeof ERAS)[number], Cards>>;
/** The runs that the current test may have started. */
const names: string[] = [];

describeInChromium('the plan card', () => {
  beforeAll(async () => {
    home = await createTestHome({ atEnd });
    const browser = await openBrowser(atEnd);
    const open = (era: (typeof ERAS)[number]): Promise<Cards> =>
      openCards({ browser, env: { DSTACK_MCP_STRUCTURED: 'off', ...home.env }, era, atEnd });
    const [newer, older] = await Promise.all([open('2026-07-28'), open('2025-11-25')]);
    connected = { '2026-07-28': newer, '2025-11-25': older };
  });

  afterEach(async ({ task: { result } }) => {
    if (result?.state === 'fail')
      for (const cards of Object.values(connected)) console.error(await cards.card.locator('body').allInnerTexts());
    for (const cards of Object.values(connected)) await cards.clear();
    // Other tests need the few machines too.
    await stopRuns(...names.splice(0));
  });

  /** Writes a configuration for the current test. Its run is stopped after the test. */
  async function writeTask(more: Readonly<Record<string, unknown>> = {}): Promise<{ name: string; file: string }> {
    const name = uniqueName('card');
    names.push(name);
    return { name, file: await home.write(`${name}.dstack.yml`, task(name, more)) };
  }

  test('shows the plan and its price, Approve submits the run, and the same card follows and stops it', async () => {
    const cards = connected['2026-07-28'];
    const { name, file } = await writeTask({ max_duration: '2h', nodes: 1 });
    const plan = await cards.call('plan', { file });
    const { card } = cards;
    await card.getByRole('heading', { name: `Create task ${name}` }).waitFor();
    expect(await card.getByText('project main', { exact: true }).isVisible()).toBe(true);
    expect(await card.getByRole('table', { name: 'Offers' }).isVisible()).toBe(true);
    expect(await card.getByRole('timer').textContent()).toMatch(/^Expires in (?:9:\d\d|10:00)$/);
    const [, price] =
      /, (\$[\d.]+\/h(?: \(up to \$[\d.]+\/h\))?, at most \$[\d.]+ in [\dhm ]+)\. /.exec(
        String(plan.facts['summary']),
      ) ?? [];
    expect(await card.getByText('Approve at').textContent()).toBe(`Approve at ${price}?`);
    // The same time as in the price.
    const time = /\$[\d.]+ in (.+)$/.exec(price ?? '')?.[1] ?? 'unknown';
    await card.getByText(`in ${time}, with stopping and idling`).waitFor();
    expect(JSON.stringify(plan.facts)).not.toContain(String(plan.card?.['nonce']));
    expect(await runNames()).not.toContain(name);

    await cards.clear();
    await approvePlan(cards, file);
    expect(await runNames()).toContain(name);
    await expectRunning(cards);
    await card
      .getByRole('region', { name: `Log of ${name}` })
      .getByText('the first line')
      .waitFor();
    expect((await cards.activity()).modelContext.at(-1)).toContain(`the user approved this: Create task ${name}`);

    await card.getByRole('button', { name: 'Stop…' }).click();
    await card.getByRole('button', { name: 'Keep it running' }).click();
    const stopped = card.getByText(/^(?:stopped|terminated|terminating)$/).first();
    const takenBack = card.getByText(/took it back/);
    // dstack's server sometimes takes a stop back: the card says so, and offers it again.
    do {
      await card.getByRole('button', { name: 'Stop…' }).click();
      await card.getByRole('button', { name: 'Stop it' }).click();
      await stopped.or(takenBack).first().waitFor();
    } while (await takenBack.isVisible());
    expect(cards.problems).toEqual([]);
  });

  test.each(ERAS)('Decline closes the change, and its token can no longer be redeemed (%s)', async (era) => {
    const cards = connected[era];
    const { name, file } = await writeTask();
    const plan = await cards.call('plan', { file });
    await press(cards, cards.card.getByRole('button', { name: 'Decline' }));
    await cards.card.getByRole('heading', { name: 'Declined' }).waitFor();
    const applied = await cards.client.callTool({
      name: 'apply',
      arguments: { token: plan.facts['token'] },
    });
    expect(applied).toMatchObject({ isError: true });
    expect(await runNames()).not.toContain(name);
    expect((await cards.activity()).modelContext.at(-1)).toContain('the user declined this');
  });

  test('rejects clicks and key presses made by scripts', async () => {
    const { name, file } = await writeTask();
    const cards = connected['2026-07-28'];
    await cards.call('plan', { file });
    const approve = cards.card.getByRole('button', { name: 'Approve' });
    await expect.poll(() => approve.isEnabled()).toBe(true);
    await approve.dispatchEvent('click');
    await cards.card.getByText('Clicks made by scripts are rejected.').waitFor();
    await approve.dispatchEvent('keydown', { key: 'Enter' });
    await cards.card.getByRole('button', { name: 'Decline' }).dispatchEvent('click');
    const { calls } = await cards.activity();
    expect(calls.filter((call) => call.name === 'decide' && JSON.stringify(call.input).includes(name))).toEqual([]);
    expect(await runNames()).not.toContain(name);
    expect(await approve.isEnabled()).toBe(true);
  });

  test('with the same plan in two windows, one makes the change and the other shows its result', async () => {
    const { name, file } = await writeTask();
    const cards = connected['2025-11-25'];
    const [first, second] = [cards.page.frameLocator('iframe').nth(-2), cards.page.frameLocator('iframe').last()];
    await approve(cards, async () => {
      await cards.show((await cards.call('plan', { file })).raw);
      return first;
    });
    await press(cards, second.getByRole('button', { name: 'Approve' }));
    await second.getByText(/nothing was done again/).waitFor();
    expect((await runNames()).filter((one) => one === name)).toHaveLength(1);
  });

  test('an unknown nonce approves nothing', async () => {
    const { name, file } = await writeTask();
    const cards = connected['2026-07-28'];
    const plan = await cards.call('plan', { file });
    await cards.clear();
    await cards.show(withCard(plan.raw, { ...plan.card, nonce: 'f'.repeat(32) }));
    await press(cards, cards.card.getByRole('button', { name: 'Approve' }));
    await cards.card.getByRole('heading', { name: 'Not done' }).waitFor();
    expect(await runNames()).not.toContain(name);
  });

  test('a card that has expired by the server’s or the computer’s clock can’t be approved', async () => {
    const { file } = await writeTask();
    const cards = connected['2026-07-28'];
    const plan = await cards.call('plan', { file });
    for (const times of [
      { now: new Date().toISOString(), expiresAt: new Date(Date.now() + 1_500).toISOString() },
      { now: '2026-01-01T00:00:00.000Z', expiresAt: '2026-01-01T00:10:00.000Z' },
    ]) {
      await cards.clear();
      await cards.show(withCard(plan.raw, { ...plan.card, ...times }));
      await cards.card.getByText('This plan has expired').waitFor();
      expect(await cards.card.getByRole('button', { name: 'Approve' }).isDisabled()).toBe(true);
    }
  });

  test('shows in red what would be replaced, and requires its name to be typed', async () => {
    const { name, file } = await writeTask();
    const cards = connected['2025-11-25'];
    await approvePlan(cards, file);

    const command = `echo ${name} again`;
    await home.write(file, task(name, { commands: [command, 'sleep infinity'] }));
    const decisions = async (): Promise<number> => {
      const { calls } = await cards.activity();
      return calls.filter((call) => call.name === 'decide' && JSON.stringify(call.input).includes(`"name":"${name}"`))
        .length;
    };
    await approve(cards, async () => {
      const card = await planInCard(cards, file);
      const before = await decisions();
      await card.getByRole('heading', { name: 'Will be stopped or lost' }).waitFor();
      await card.getByRole('heading', { name: 'Differences from the existing resource' }).waitFor();
      const button = card.getByRole('button', { name: 'Approve' });
      await expect.poll(() => card.getByRole('button', { name: 'Decline' }).isEnabled()).toBe(true);
      expect(await button.isDisabled()).toBe(true);
      const field = card.getByLabel(`Type ${name} to approve`);
      await field.fill(`${name}x`);
      expect(await button.isDisabled()).toBe(true);
      await field.fill(name);
      await field.press('Enter');
      expect(await button.isEnabled()).toBe(true);
      expect(await decisions()).toBe(before);
      return card;
    });
    expect(await countRuns(command)).toBe(1);
  });

  test('a blocked plan shows the reason and has no Approve button', async () => {
    const { file } = await writeTask({ resources: { gpu: 'H100:64' } });
    const cards = connected['2026-07-28'];
    await cards.call('plan', { file });
    await cards.card.getByRole('heading', { name: 'It can’t run right now' }).waitFor();
    expect(await cards.card.getByRole('button', { name: 'Approve' }).count()).toBe(0);
  });

  test('supports the keyboard for sorting and decisions', async () => {
    const { file } = await writeTask();
    const cards = connected['2026-07-28'];
    await cards.call('plan', { file });
    const header = cards.card.getByRole('columnheader', { name: 'Per hour' });
    await header.getByRole('button').focus();
    await cards.page.keyboard.press('Enter');
    expect(await header.getAttribute('aria-sort')).toBe('ascending');
    await cards.page.keyboard.press('Enter');
    expect(await header.getAttribute('aria-sort')).toBe('descending');
    const approve = cards.card.getByRole('button', { name: 'Approve' });
    await expect.poll(() => approve.isEnabled()).toBe(true);
    await approve.focus();
    await cards.page.keyboard.press('Tab');
    await cards.page.keyboard.press('Enter');
    await cards.card.getByRole('heading', { name: 'Declined' }).waitFor();
  });
});

/** Replaces the card data of a result. */
function withCard(raw: unknown, card: Record<string, unknown>): unknown {
  return { ...Object(raw), _meta: { 'dstack-mcp/card': card } };
}
