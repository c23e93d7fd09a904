import type { FrameLocator, Locator } from 'playwright-core';
import { expect, vi } from 'vitest';
import { until } from '../../support/wait.ts';
import type { Cards } from './open-cards.ts';

/** Clicks until the card has sent its decision, since Chromium discards clicks into a frame that has just moved. */
export async function press(cards: Cards, button: Locator): Promise<void> {
  const decisions = async (): Promise<number> =>
    (await cards.activity()).calls.filter(
      // The card also reports that it is on the screen.
      ({ name, input }) => name === 'decide' && Object(input)['decision'] !== 'shown',
    ).length;
  const before = await decisions();
  const attempt = async (): Promise<void> => {
    // The button disappears once the decision has a result.
    if ((await decisions()) === before && (await button.count()) > 0 && (await button.isEnabled()))
      await button.click();
    expect(await decisions()).toBeGreaterThan(before);
  };
  // Also used in hooks, where `expect.poll` is not allowed.
  await vi.waitFor(attempt, { timeout: 100_000, interval: 1_000 });
}

const decided = async (card: FrameLocator): Promise<string> => {
  const read = async (): Promise<string> => {
    const text = await card.locator('main').innerText();
    expect(text).toMatch(/Approved by you|Not done|Outcome unknown|Nothing to do/);
    return text;
  };
  return vi.waitFor(read, { timeout: 100_000 });
};

/** Expects an approved change. A failure shows the text of the card, which contains the reason. */
export async function expectApproved(card: FrameLocator): Promise<void> {
  expect(await decided(card)).toContain('Approved by you');
}

/**
 * Approves the plan that `plan` shows. Plans again if another test took the idle machine in the meantime, since the change is refused
 * when its price rises.
 */
export async function approve(cards: Cards, plan: () => Promise<FrameLocator>): Promise<void> {
  for (;;) {
    const card = await plan();
    await press(cards, card.getByRole('button', { name: 'Approve' }));
    const text = await decided(card);
    if (!text.includes('plan changed after it was approved')) {
      expect(text).toContain('Approved by you');
      return;
    }
    await cards.clear();
  }
}

/** Plans a configuration file, and shows the plan in a new card. Other tests may use every machine right now: plans until one is free. */
export async function planInCard(cards: Cards, file: string): Promise<FrameLocator> {
  await until(
    async () => {
      await cards.clear();
      return cards.call('plan', { file });
    },
    ({ facts }) => facts['outcome'] === 'done',
  );
  return cards.card;
}

/** Plans a configuration file and approves the plan. */
export async function approvePlan(cards: Cards, file: string): Promise<void> {
  await approve(cards, () => planInCard(cards, file));
}

/** Expects the run in the card to be running. A failure shows the text of the card and its last calls. */
export async function expectRunning(cards: Cards): Promise<void> {
  const check = async (): Promise<void> => {
    const asked = (await cards.activity()).calls.map(({ name }) => name).slice(-10);
    const text = await cards.card.locator('main').innerText();
    expect(`asked ${asked.join(', ')}\n${text}`).toMatch(/^running$/m);
  };
  await vi.waitFor(check, { timeout: 100_000, interval: 200 });
}
