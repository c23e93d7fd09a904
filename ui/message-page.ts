import { data, el } from './dom.ts';
import type { ToolResult } from './tool-result.ts';
import { disclosure, heading, notice, printout } from './parts.ts';
import { textOf } from './read.ts';
import type { View } from './view.ts';
import { unfence } from './visible-text.ts';

/** The tone and the words for an outcome. */
type Title = readonly ['good' | 'bad' | 'careful' | 'plain', string];

const TITLES: ReadonlyMap<string, Title> = new Map<string, Title>([
  ['done', ['good', 'Done']],
  ['nothing-to-do', ['plain', 'Nothing to do']],
  ['blocked', ['careful', 'Blocked']],
  ['refused', ['bad', 'Refused']],
  ['failed', ['bad', 'Failed']],
  ['unknown', ['careful', 'Outcome unknown']],
  ['waiting', ['plain', 'Still waiting']],
  ['waiting-for-person', ['plain', 'Waiting for approval']],
]);

/** Returns the title of an outcome. */
export const titleOf = (outcome: string | undefined): Title => TITLES.get(outcome ?? '') ?? ['plain', 'Result'];

/** Creates the page of a result without a view: its summary, the next step and dstack's output. */
export function createMessagePage({ facts, text }: ToolResult): View {
  const [tone, title] = titleOf(textOf(facts, 'outcome'));
  const summary = textOf(facts, 'summary') ?? text;
  const next = textOf(facts, 'next');
  const printed = unfence(textOf(facts, 'output') ?? '');
  const box = notice(
    tone,
    title,
    el('p', {}, data(summary, 800)),
    next === undefined ? undefined : el('p', 'quiet', data(next, 600)),
  );
  const more = printed === '' ? undefined : disclosure('dstack output', printout('dstack output', printed));
  return { root: el('main', 'page message', heading(['dstack'], title), box, more), end: () => undefined };
}
