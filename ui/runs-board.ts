import { cardOf } from './card-facts.ts';
import { button, data, el, setText } from './dom.ts';
import { formatAge } from './format.ts';
import type { ToolResult } from './host.ts';
import { heading, liveRegion, statusPill } from './parts.ts';
import type { Look } from './poller.ts';
import { optional, textOf } from './read.ts';
import type { Facts } from './read.ts';
import { createRunPage } from './run-page.ts';
import { readRunRows } from './run-facts.ts';
import type { RunRow } from './run-facts.ts';
import { createTable } from './sortable-table.ts';
import type { Column } from './sortable-table.ts';
import type { Card, View } from './view.ts';

/** All runs, live: status, age, machine, price and cost; a name leads to the run's own page. */
export function createRunsBoard(card: Card, first: ToolResult | undefined, input: Facts): View {
  const of = optional('project', textOf(input, 'project'));
  const columns = [...nameColumns((row) => openRun(row)), ...moneyColumns(card)];
  const table = createTable<RunRow>({
    caption: 'Runs',
    empty: 'No runs here.',
    keyOf: ({ name }) => name,
    columns,
    pageSize: 50,
  });
  const filter = createFilter(() => draw());
  const note = el('p', { class: 'quiet', attributes: { role: 'status' } });
  const told = liveRegion();
  let rows: readonly RunRow[] = [];
  let showsAll = input['all'] === true || input['last'] !== undefined;
  let seen = '';

  const draw = (): void => table.setRows(rows.filter((row) => filter.lets(row)));
  const take = (result: ToolResult): Look => {
    const handed = cardOf(result);
    const next = readRunRows(Array.isArray(handed['runs']) ? handed : result.facts);
    if (result.isError) {
      setText(note, textOf(result.facts, 'summary') ?? 'It couldn’t be looked at.');
      return 'same';
    }
    const statuses = JSON.stringify(next.map(({ name, status }) => [name, status]));
    const isSame = statuses === seen;
    if (!isSame && seen !== '') setText(told, describeCount(next));
    seen = statuses;
    rows = next;
    setText(note, describeCount(rows));
    draw();
    return isSame ? 'same' : 'changed';
  };
  const look = async (): Promise<Look> =>
    take(await card.host.callTool('ps', { ...of, ...(showsAll ? { all: true } : {}) }));
  const openRun = ({ name }: RunRow): void => {
    const onBack = (): void => card.open((inner) => createRunsBoard(inner, undefined, { ...input, all: showsAll }));
    card.open((inner) => createRunPage(inner, { name, ...of, onBack }));
  };
  if (first !== undefined) take(first);
  let endLooking = card.poller.add({ look, firstMs: 4_000, maxMs: 30_000 });
  const all = el('input', { attributes: { type: 'checkbox', id: 'all-runs' } });
  all.checked = showsAll;
  all.addEventListener('change', () => {
    showsAll = all.checked;
    endLooking();
    endLooking = card.poller.add({ look, firstMs: 4_000, maxMs: 30_000 });
  });
  const tools = el('div', 'tools', filter.root, el('label', 'check', all, ' Finished ones too'), note);
  const over = of.project === undefined ? [] : [el('span', {}, 'project ', data(of.project, 60))];
  return { root: el('main', 'page runs', heading(over, 'Runs'), tools, told, table.root), end: () => endLooking() };
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
        button(data(row.name, 60), () => openRun(row), { kind: 'link' }),
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
