import { data, el } from './dom.ts';
import type { ToolResult } from './tool-result.ts';
import { disclosure, heading, notice, printout } from './parts.ts';
import { textOf } from './read.ts';
import type { View } from './view.ts';
import { unfence } from './visible-text.ts';

type Title = readonly ['good' | 'bad' | 'careful' | 'plain', string];

const TITLES: ReadonlyMap<string, Title> = new Map<string, Title>([
  ['done', ['good', 'Done']],
  ['nothing-to-do', ['plain', 'Nothing to do']],
  ['blocked', ['careful', 'It can’t be done as things stand']],
  ['refused', ['bad', 'Refused']],
  ['failed', ['bad', 'It failed']],
  ['unknown', ['careful', 'Not known whether it was done']],
  ['waiting-for-person', ['plain', 'Waiting for a person']],
]);

/** A result that has no page of its own: what happened, what to do next, and what dstack printed. */
export function createMessagePage({ facts, text }: ToolResult): View {
  const [tone, title] = TITLES.get(textOf(facts, 'outcome') ?? '') ?? ['plain', 'Result'];
  const summary = textOf(facts, 'summary') ?? text;
  const next = textOf(facts, 'next');
  const printed = unfence(textOf(facts, 'output') ?? '');
  const box = notice(
    tone,
    title,
    el('p', {}, data(summary, 800)),
    next === undefined ? undefined : el('p', 'quiet', data(next, 600)),
  );
  const more = printed === '' ? undefined : disclosure('What dstack printed', printout('What dstack printed', printed));
  return { root: el('main', 'page message', heading(['dstack'], title), box, more), end: () => undefined };
}
