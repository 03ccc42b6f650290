import type { ReactNode } from 'react';
import { Icon } from './Icon';
import classes from './Table.module.css';

export interface Column<Row> {
  key: string;
  label: string;
  cell: (row: Row) => ReactNode;
  numeric?: boolean;
  /** Paths, hashes and the like: may be broken anywhere. */
  breaks?: boolean;
  /** Never broken: figures with their units. */
  whole?: boolean;
  /** Rows can be sorted by it. */
  sortable?: boolean;
}

export interface Sort {
  key: string;
  down: boolean;
}

interface Props<Row> {
  label: string;
  columns: Column<Row>[];
  rows: Row[];
  rowKey: (row: Row) => string;
  sort?: Sort;
  onSort?: (key: string) => void;
}

/** A table; on narrow screens each row becomes a card. Roles are written out, for the layout would hide them. */
export function Table<Row>({ label, columns, rows, rowKey, sort, onSort }: Props<Row>) {
  return (
    <table className={classes.table} aria-label={label} role="table">
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(({ key, label: name, numeric, sortable }) => {
            const direction = sort?.down ? 'descending' : 'ascending';
            return (
              <th key={key} role="columnheader" data-numeric={numeric} aria-sort={sort?.key === key ? direction : undefined}>
                {sortable && onSort ? (
                  <button type="button" onClick={() => onSort(key)}>
                    {name}
                    {sort?.key === key && <Icon name={sort.down ? 'down' : 'up'} size={14} />}
                  </button>
                ) : (
                  name
                )}
              </th>
            );
          })}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr key={rowKey(row)} role="row">
            {columns.map(({ key, label: name, cell, numeric, breaks, whole }) => (
              <td key={key} role="cell" data-label={name} data-numeric={numeric} data-breaks={breaks} data-whole={whole}>
                {cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
