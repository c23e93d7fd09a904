import axe from 'axe-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import * as z from 'zod';
import { stopRuns } from '../support/ask-server.ts';
import { collectEnds } from '../support/collect-ends.ts';
import { createTestHome, task, uniqueName } from '../support/test-home.ts';
import type { TestHome } from '../support/test-home.ts';
import { approvePlan, expectRunning } from '../ui/support/approve.ts';
import { describeInChromium, openBrowser } from '../ui/support/card-browser.ts';
import { openCards } from '../ui/support/open-cards.ts';
import type { Cards } from '../ui/support/open-cards.ts';

const atEnd = collectEnds(afterAll);
const run = uniqueName('board');
let home: TestHome;
let cards: Cards;

describeInChromium('the boards', () => {
  beforeAll(async () => {
    home = await createTestHome({ atEnd });
    cards = await openCards({ browser: await openBrowser(atEnd), env: home.env, atEnd });
    atEnd(() => stopRuns(run));
    await approvePlan(cards, await home.write('board.dstack.yml', task(run, { ports: [8000] })));
    await expectRunning(cards);
  });

  afterEach(async () => {
    if (cards.problems.length > 0) throw new Error(cards.problems.join('\n'));
    await cards.setAppearance({ theme: 'light', locale: 'en-US', timeZone: 'UTC', width: 760, isSilent: false });
    await cards.clear();
  });
  test('no view has accessibility violations, light and wide or dark and narrow', async () => {
    const views: readonly (readonly [string, Record<string, unknown>, string])[] = [
      ['plan', { file: 'board.dstack.yml' }, 'dstack output'],
      ['stop', { run, abort: true }, 'Type'],
      ['ps', {}, run],
      ['get', { name: run }, 'Follow'],
      ['offer', {}, 'Price per GPU and hour'],
      ['get', { name: 'no-such-run' }, 'dstack'],
    ];
    for (const [tool, input, words] of views) {
      await cards.setAppearance({ theme: 'light', width: 760 });
      const { raw } = await cards.call(tool, input);
      await cards.card.getByText(words).first().waitFor();
      const found = [await findViolations()];
      await cards.clear();
      await cards.setAppearance({ theme: 'dark', width: 340 });
      await cards.show(raw, input);
      await cards.card.getByText(words).first().waitFor();
      found.push(await findViolations());
      await cards.clear();
      expect(found, tool).toEqual([[], []]);
    }
  });

  async function findViolations(): Promise<readonly string[]> {
    const found = await cards.page
      .frames()
      .at(-1)
      ?.evaluate(`${axe.source}; axe.run(document, { resultTypes: ['violations'] })`);
    const { violations } = axeResult.parse(found);
    return violations.map(({ id, nodes }) => `${id} ${nodes.map(({ html }) => html).join(' ')}`);
  }
});

const axeResult = z.looseObject({
  violations: z.array(z.looseObject({ id: z.string(), nodes: z.array(z.looseObject({ html: z.string() })) })),
});
