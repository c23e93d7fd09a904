import { afterAll, afterEach, beforeAll } from 'vitest';
import { stopRuns } from '../../support/ask-server.ts';
import { collectEnds } from '../../support/collect-ends.ts';
import { createTestHome, task, uniqueName } from '../../support/test-home.ts';
import { approvePlan, expectRunning } from './approve.ts';
import { openBrowser } from './card-browser.ts';
import { openCards } from './open-cards.ts';
import type { Cards } from './open-cards.ts';

/** A page with cards, and a run that is shown in them. */
export interface Boards {
  readonly run: string;
  readonly cards: Cards;
}

/** Opens the page and starts the run before the tests of the group that calls this; clears the page after each. */
export function setUpBoards(): Boards {
  const atEnd = collectEnds(afterAll);
  const run = uniqueName('board');
  let cards: Cards | undefined;
  const opened = (): Cards => {
    if (cards === undefined) throw new Error('the page is open during the tests only');
    return cards;
  };
  beforeAll(async () => {
    const home = await createTestHome({ atEnd });
    cards = await openCards({ browser: await openBrowser(atEnd), env: home.env, atEnd });
    atEnd(() => stopRuns(run));
    await approvePlan(cards, await home.write('board.dstack.yml', task(run, { ports: [8000] })));
    await expectRunning(cards);
  });
  afterEach(async () => {
    const { problems } = opened();
    if (problems.length > 0) throw new Error(problems.join('\n'));
    await opened().setAppearance({ theme: 'light', locale: 'en-US', timeZone: 'UTC', width: 760, isSilent: false });
    await opened().clear();
  });
  return {
    run,
    get cards() {
      return opened();
    },
  };
}
