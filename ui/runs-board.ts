import { cardOf } from './card-facts.ts';
import { button, data, el, setText } from './dom.ts';
import { formatAge } from './format.ts';
import type { ToolResult } from './tool-result.ts';
import { createCheckbox, heading, statusPill } from './parts.ts';
import type { Look } from './poller.ts';
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

/** Which runs are asked for. */
type Scope = Readonly<Record<'all', boolean>> | Readonly<Record<'last', number>>;

/** All runs, live: status, age, machine, price and cost; a name leads to the run's own page. */
export function createRunsBoard(card: Card, first: ToolResult | undefined, input: Facts): View {
  const of = optional('project', textOf(input, 'project'));
  const last = numberOf(input, 'last');
  let scope: Scope = last === undefined ? { all: input['all'] === true } : { last };
  const openRun = ({ name }: RunRow): void => {
    const onBack = (): void => card.open((inner) => createRunsBoard(inner, undefined, { ...of, ...scope }));
    card.open((inner) => createRunPage(inner, { name, ...of, onBack }));
  };
  const list = createRunList(card, of, openRun);
  const look = async (): Promise<Look> => list.take(await card.host.callTool('ps', { ...of, ...scope }));
  const startLooking = (): (() => void) =>
    card.poller.add({ look, firstMs: 4_000, maxMs: 30_000, onFailure: list.tellFailure });
  if (first !== undefined) list.take(first);
  let endLooking = startLooking();
  const endCosts = card.poller.add({ look: list.lookUpCost, firstMs: 1_000, maxMs: 15_000 });
  const all = createCheckbox('all-runs', 'Finished ones too', (isChecked) => {
    scope = { all: isChecked };
    endLooking();
    endLooking = startLooking();
  });
  all.input.checked = 'all' in scope ? scope.all : true;
  const over = of.project === undefined ? [] : [el('span', {}, 'project ', data(of.project, 60))];
  return {
    root: el(
      'main',
      'page runs',
      heading(over, 'Runs'),
      el('div', 'tools', list.filter, all.root, list.note),
      list.root,
    ),
    end() {
      endLooking();
      endCosts();
    },
  };
}

/** The table of runs with its filter, and what is told about it. */
function createRunList(card: Card, of: { readonly project?: string }, openRun: (row: RunRow) => void) {
  const columns = [...nameColumns(openRun), ...moneyColumns(card)];
  const table = createTable<RunRow>({
    caption: 'Runs',
    empty: 'No runs here.',
    keyOf: ({ name }) => name,
    columns,
    pageSize: 50,
  });
  const costs = createRunCosts(card, of);
  const filter = createFilter(() => draw());
  const note = el('p', { class: 'quiet', attributes: { role: 'status' } });
  let rows: readonly RunRow[] = [];
  let seen = '';
  const draw = (): void => table.setRows(rows.filter((row) => filter.lets(row)).map((row) => costs.complete(row)));
  return {
    root: table.root,
    filter: filter.root,
    note,
    tellFailure: (why: string): void => setText(note, `Not refreshed: ${why}`),
    take(result: ToolResult): Look {
      if (result.isError) {
        setText(note, shorten(textOf(result.facts, 'summary') ?? 'It couldn’t be looked at.', 200));
        return 'same';
      }
      const handed = cardOf(result);
      rows = readRunRows(Array.isArray(handed['runs']) ? handed : result.facts);
      const before = seen;
      seen = JSON.stringify(rows.map(({ name, status }) => [name, status]));
      setText(note, describeCount(rows));
      draw();
      return seen === before ? 'same' : 'changed';
    },
    lookUpCost: async (): Promise<Look> => {
      const isNews = await costs.lookUpOne(rows);
      draw();
      return isNews ? 'changed' : 'same';
    },
  };
}

function describeCount(rows: readonly RunRow[]): string {
  const active = rows.filter(({ isFinished }) => !isFinished).length;
  return rows.length === active ? `${active} active` : `${active} active of ${rows.length}`;
}

function createFilter(onChange: () => void) {
  const input = el('input', {
    class: 'search',
    attributes: { type: 'search', placeholder: 'Filter runs', 'aria-label': 'Filter runs', autocomplete: 'off' },
  });
  input.addEventListener('input', onChange);
  return {
    root: input,
    lets({ name, status, machine = '', place = '' }: RunRow): boolean {
      const words = input.value.toLowerCase().split(/\s+/);
      const text = `${name} ${status} ${machine} ${place}`.toLowerCase();
      return words.every((word) => text.includes(word));
    },
  };
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

function moneyColumns({ formats }: Card): readonly Column<RunRow>[] {
  const money = (dollars: number | undefined): string => (dollars === undefined ? '–' : formats.money(dollars));
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
