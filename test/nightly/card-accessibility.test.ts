import axe from 'axe-core';
import { expect, test } from 'vitest';
import * as z from 'zod';
import { describeInChromium } from '../ui/support/card-browser.ts';
import { setUpBoards } from '../ui/support/set-up-boards.ts';

describeInChromium('the boards', () => {
  const boards = setUpBoards();
  const { run } = boards;

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
      await boards.cards.setAppearance({ theme: 'light', width: 760 });
      const { raw } = await boards.cards.call(tool, input);
      await boards.cards.card.getByText(words).first().waitFor();
      const found = [await findViolations()];
      await boards.cards.clear();
      await boards.cards.setAppearance({ theme: 'dark', width: 340 });
      await boards.cards.show(raw, input);
      await boards.cards.card.getByText(words).first().waitFor();
      found.push(await findViolations());
      await boards.cards.clear();
      expect(found, tool).toEqual([[], []]);
    }
  });

  async function findViolations(): Promise<readonly string[]> {
    const found = await boards.cards.page
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
