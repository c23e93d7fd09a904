/** A column by which rows can be sorted. */
export interface Sortable<Row> {
  readonly key: string;
  /** Rows without a value come last. */
  readonly sortBy: (row: Row) => string | number | undefined;
}

/** The current sort column and direction. */
export interface Sorting {
  readonly key: string;
  readonly direction: 1 | -1;
}

/** Sorts rows by a column. The sort is stable, and rows without a value come last in both directions. */
export function sortRows<Row>(
  rows: readonly Row[],
  columns: readonly Sortable<Row>[],
  sorting: Sorting | undefined,
): readonly Row[] {
  const column = columns.find(({ key }) => key === sorting?.key);
  if (column === undefined || sorting === undefined) return rows;
  return [...rows].sort((a, b) => {
    const [left, right] = [column.sortBy(a), column.sortBy(b)];
    if (left === undefined || right === undefined) return left === right ? 0 : left === undefined ? 1 : -1;
    return sorting.direction * compare(left, right);
  });
}

function compare(left: string | number, right: string | number): number {
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  return String(left).localeCompare(String(right), undefined, { numeric: true });
}
