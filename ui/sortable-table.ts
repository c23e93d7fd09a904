import { button, el, fill, setText, show } from './dom.ts';
import type { Child } from './dom.ts';
import { sortRows } from './sort-rows.ts';
import type { Sortable, Sorting } from './sort-rows.ts';

/** One column of a table. */
export interface Column<Row> extends Sortable<Row> {
  readonly label: string;
  readonly isNumber?: boolean;
  cell(row: Row): Child | readonly Child[];
}

export interface TableOptions<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  /** Identifies a row, so that it keeps the focus when the table is redrawn. */
  readonly keyOf: (row: Row, index: number) => string;
  readonly empty: string;
  /** Rows shown initially. The button below shows more. */
  readonly pageSize?: number;
}

/** A table whose rows may change. */
export interface SortableTable<Row> {
  readonly root: HTMLElement;
  setRows(rows: readonly Row[]): void;
}

/** Creates a table with sortable columns that draws only a page of its rows. */
export function createTable<Row>(options: TableOptions<Row>): SortableTable<Row> {
  const { columns, keyOf, pageSize = 12 } = options;
  let rows: readonly Row[] = [];
  let sorting: Sorting | undefined;
  let shown = pageSize;
  const headers = columns.map((column) =>
    createHeader(column, () => {
      const isAscending = sorting?.key === column.key && sorting.direction === 1;
      sorting = { key: column.key, direction: isAscending ? -1 : 1 };
      draw();
    }),
  );
  const cells = headers.map(({ cell }) => cell);
  const frame = createFrame(options, cells, () => {
    shown += pageSize * 4;
    draw();
  });
  const draw = (): void => {
    const page = sortRows(rows, columns, sorting).slice(0, shown);
    for (const header of headers) header.mark(sorting);
    const left = rows.length - page.length;
    frame.draw(
      page.map((row, index) => drawRow(row, keyOf(row, index), columns)),
      left === 0 ? undefined : `Show ${Math.min(left, pageSize * 4)} more of ${rows.length}`,
    );
  };
  draw();
  return {
    root: frame.root,
    setRows(next) {
      rows = next;
      draw();
    },
  };
}

/** Creates the table without its rows, the text for an empty table, and the button for more rows. */
function createFrame<Row>({ caption, empty }: TableOptions<Row>, headers: readonly HTMLElement[], onMore: () => void) {
  const body = el('tbody');
  const nothing = el('p', 'quiet', empty);
  const more = button('', onMore);
  const head = el('thead', {}, el('tr', {}, ...headers));
  const table = el('table', {}, el('caption', 'unseen', caption), head, body);
  const attributes = { role: 'region', 'aria-label': caption, tabindex: '0' };
  const scroll = el('div', { class: 'scroll', attributes }, table);
  return {
    root: el('div', 'table', scroll, nothing, more),
    draw(rows: readonly HTMLElement[], moreLabel: string | undefined): void {
      keepFocus(body, () => fill(body, ...rows));
      setText(more, moreLabel ?? '');
      show(more, moreLabel !== undefined);
      show(scroll, rows.length > 0);
      show(nothing, rows.length === 0);
    },
  };
}

function createHeader<Row>(column: Column<Row>, onPress: () => void) {
  const arrow = el('span', { class: 'arrow', attributes: { 'aria-hidden': 'true' } });
  const cell = el(
    'th',
    { class: classOf(column), attributes: { scope: 'col' } },
    button(el('span', {}, column.label, arrow), onPress, { kind: 'header' }),
  );
  return {
    cell,
    mark(sorting: Sorting | undefined): void {
      const direction = sorting?.key === column.key ? sorting.direction : 0;
      cell.setAttribute('aria-sort', direction === 0 ? 'none' : direction === 1 ? 'ascending' : 'descending');
      setText(arrow, direction === 0 ? '' : direction === 1 ? '↑' : '↓');
    },
  };
}

const classOf = <Row>({ key, isNumber = false }: Column<Row>): string => `column-${key}${isNumber ? ' number' : ''}`;

function drawRow<Row>(row: Row, key: string, columns: readonly Column<Row>[]): HTMLTableRowElement {
  const cells = columns.map((column) => {
    const content = column.cell(row);
    return el('td', classOf(column), ...(isChildren(content) ? content : [content]));
  });
  return el('tr', { attributes: { 'data-key': key } }, ...cells);
}

const isChildren = (content: Child | readonly Child[]): content is readonly Child[] => Array.isArray(content);

/** Redraws the rows, then restores the focus if its row still exists. */
function keepFocus(body: HTMLElement, redraw: () => void): void {
  const { activeElement } = document;
  const key = body.contains(activeElement) ? activeElement?.closest('tr')?.dataset['key'] : undefined;
  redraw();
  if (key === undefined) return;
  const row = [...body.querySelectorAll('tr')].find((one) => one.dataset['key'] === key);
  row?.querySelector('button')?.focus({ preventScroll: true });
}
