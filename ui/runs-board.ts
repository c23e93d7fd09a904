import { cardOf } from './card-facts.ts';
import { button, data, el, setText } from './dom.ts';
import { formatAge, formatDollars } from './format.ts';
import type { ToolResult } from './tool-result.ts';
import { createCheckbox, createSearch, heading, matchesSearch, statusPill } from './parts.ts';
import type { PollResult } from './poller.ts';
import { numberOf, optional, textOf } from './read.ts';
import type { Facts } from './read.ts';
import { createRunCosts } from './run-costs.ts';
import { createRunPage } from './run-page.ts';
import { readRunRows } from './run-facts.ts';
import type { RunRow } from './run-facts.ts';
import { createTable } from './sortable-table.ts';
import type { Column } from './sortable-table.ts';
import type { Card, View } from './view.ts';
import { shorten } from './visible-text.ts';

/** The options of `ps`. */
type Scope = Readonly<Record<'all', boolean>> | Readonly<Record<'last', number>>;

/** Creates the live list of runs. A run's name opens its page. */
export function createRunsBoard(card: Card, first: ToolResult | undefined, input: Facts): View {
  const of = optional('project', textOf(input, 'project'));
  const last = numberOf(input, 'last');
  let scope: Scope = last === undefined ? { all: input['all'] === true } : { last };
  const openRun = ({ name }: RunRow): void => {
    const onBack = (): void => card.open((inner) => createRunsBoard(inner, undefined, { ...of, ...scope }));
    card.open((inner) => createRunPage(inner, { name, ...of, onBack }));
  };
  const list = createRunList(card, of, openRun);
  const poll = async (): Promise<PollResult> => list.update(await card.host.callTool('ps', { ...of, ...scope }));
  const startPolling = (): (() => void) =>
    card.poller.add({ poll, firstMs: 4_000, maxMs: 30_000, onFailure: list.showFailure });
  if (first !== undefined) list.update(first);
  let endPolling = startPolling();
  const endCosts = card.poller.add({ poll: list.fetchCost, firstMs: 1_000, maxMs: 15_000 });
  const all = createCheckbox('all-runs', 'Include finished', (isChecked) => {
    scope = { all: isChecked };
    endPolling();
    endPolling = startPolling();
  });
  all.input.checked = 'all' in scope ? scope.all : true;
  const over = of.project === undefined ? [] : [el('span', {}, 'project ', data(of.project, 60))];
  return {
    root: el(
      'main',
      'page runs',
      heading(over, 'Runs'),
      el('div', 'tools', list.search, all.root, list.note),
      list.root,
    ),
    end() {
      endPolling();
      endCosts();
    },
  };
}

/** Creates the table of runs with its filter and its count. */
function createRunList(card: Card, of: { readonly project?: string }, openRun: (row: RunRow) => void) {
  const columns = [...nameColumns(openRun), ...costColumns(card)];
  const table = createTable<RunRow>({
    caption: 'Runs',
    empty: 'No runs.',
    keyOf: ({ name }) => name,
    columns,
    pageSize: 50,
  });
  const costs = createRunCosts(card, of);
  const search = createSearch('Filter runs', () => draw());
  const note = el('p', { class: 'quiet', attributes: { role: 'status' } });
  let rows: readonly RunRow[] = [];
  let seen = '';
  const isShown = ({ name, status, machine, place }: RunRow): boolean =>
    matchesSearch([name, status, machine, place], search.value);
  const draw = (): void => table.setRows(rows.filter(isShown).map((row) => costs.complete(row)));
  return {
    root: table.root,
    search,
    note,
    showFailure: (why: string): void => setText(note, `Refresh failed: ${why}`),
    update(result: ToolResult): PollResult {
      if (result.isError) {
        setText(note, shorten(textOf(result.facts, 'summary') ?? 'Cannot list runs.', 200));
        return 'same';
      }
      const cardData = cardOf(result);
      rows = readRunRows(Array.isArray(cardData['runs']) ? cardData : result.facts);
      const before = seen;
      seen = JSON.stringify(rows.map(({ name, status }) => [name, status]));
      setText(note, describeCount(rows));
      draw();
      return seen === before ? 'same' : 'changed';
    },
    fetchCost: async (): Promise<PollResult> => {
      const isNew = await costs.fetchNext(rows);
      draw();
      return isNew ? 'changed' : 'same';
    },
  };
}

function describeCount(rows: readonly RunRow[]): string {
  const active = rows.filter(({ isFinished }) => !isFinished).length;
  return rows.length === active ? `${active} active` : `${active} active of ${rows.length}`;
}

function nameColumns(openRun: (row: RunRow) => void): readonly Column<RunRow>[] {
  return [
    {
      key: 'name',
      label: 'Run',
      sortBy: ({ name }) => name,
      cell: (row) => [
        button(el('bdi', {}, shorten(row.name, 60)), () => openRun(row), { kind: 'link' }),
        row.error === undefined ? undefined : el('span', 'sub bad-text', data(row.error, 120)),
      ],
    },
    { key: 'status', label: 'Status', sortBy: ({ status }) => status, cell: ({ status }) => statusPill(status) },
    {
      key: 'machine',
      label: 'Machine',
      sortBy: ({ machine }) => machine,
      cell: ({ machine, place }) => [
        data(machine ?? '–', 60),
        place === undefined ? undefined : el('span', 'sub', data(place, 60)),
      ],
    },
  ];
}

function costColumns({ formats }: Card): readonly Column<RunRow>[] {
  const money = (dollars: number | undefined): string => (dollars === undefined ? '–' : formatDollars(dollars));
  return [
    {
      key: 'price',
      label: 'Per hour',
      isNumber: true,
      sortBy: ({ pricePerHour }) => pricePerHour,
      cell: ({ pricePerHour }) => money(pricePerHour),
    },
    {
      key: 'cost',
      label: 'Cost so far',
      isNumber: true,
      sortBy: ({ costUsd }) => costUsd,
      cell: ({ costUsd }) => money(costUsd),
    },
    {
      key: 'age',
      label: 'Age',
      isNumber: true,
      sortBy: ({ submittedAt }) => (submittedAt === undefined ? undefined : -Date.parse(submittedAt)),
      cell: ({ submittedAt, submitted }) =>
        submittedAt === undefined
          ? data(submitted ?? '–', 40)
          : el(
              'time',
              { attributes: { datetime: submittedAt, title: formats.date(submittedAt) } },
              formatAge(submittedAt, Date.now()),
            ),
    },
  ];
}
