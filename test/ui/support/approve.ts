import type { FrameLocator, Locator } from 'playwright-core';
import { expect, vi } from 'vitest';
import type { Cards } from './open-cards.ts';

/** Presses until the decision is on its way: Chromium drops a click into a frame that has just moved, as people know from pages that load. */
export async function press(cards: Cards, button: Locator): Promise<void> {
  const decisions = async (): Promise<number> =>
    (await cards.heard()).calls.filter(({ name }) => name === 'decide').length;
  const before = await decisions();
  const look = async (): Promise<void> => {
    // What was pressed is gone once it has an answer.
    if ((await decisions()) === before && (await button.count()) > 0 && (await button.isEnabled()))
      await button.click();
    expect(await decisions()).toBeGreaterThan(before);
  };
  // Set-up presses too, where `expect.poll` may not be used.
  await vi.waitFor(look, { timeout: 100_000, interval: 1_000 });
}

const decided = async (card: FrameLocator): Promise<string> => {
  const look = async (): Promise<string> => {
    const text = await card.locator('main').innerText();
    expect(text).toMatch(/Approved by you|Not done|Outcome unknown|Nothing to do/);
    return text;
  };
  return vi.waitFor(look, { timeout: 100_000 });
};

/** The whole card is told where it isn't as wanted: why a change was refused stands in it. */
export async function expectApproved(card: FrameLocator): Promise<void> {
  expect(await decided(card)).toContain('Approved by you');
}

/**
 * Approves what `plan` puts before the person. Another test may take the free machine that was planned with: the price rises, what was agreed to isn't done,
 * and is planned again.
 */
export async function approve(cards: Cards, plan: () => Promise<FrameLocator>): Promise<void> {
  for (;;) {
    const card = await plan();
    await press(cards, card.getByRole('button', { name: 'Approve' }));
    const text = await decided(card);
    if (!text.includes('no longer what would happen')) {
      expect(text).toContain('Approved by you');
      return;
    }
    await cards.clear();
  }
}

/** Plans by a file, and approves. */
export async function approvePlan(cards: Cards, file: string): Promise<void> {
  await approve(cards, async () => {
    await cards.call('plan', { file });
    return cards.card;
  });
}

/** The run that the card follows comes to run. Where it doesn't, the failure has in it what the card says instead and what it asked last. */
export async function expectRunning(cards: Cards): Promise<void> {
  const look = async (): Promise<void> => {
    const asked = (await cards.heard()).calls.map(({ name }) => name).slice(-10);
    const text = await cards.card.locator('main').innerText();
    expect(`asked ${asked.join(', ')}\n${text}`).toMatch(/^running$/m);
  };
  await vi.waitFor(look, { timeout: 100_000, interval: 200 });
}
