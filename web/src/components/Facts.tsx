import type { ReactNode } from 'react';
import classes from './Facts.module.css';

/** Longer texts get a line of their own. */
const WIDE = 40;

/** Names and values; a value that is not there is left out. */
export function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className={classes.facts}>
      {facts
        .filter(([, value]) => value !== null && value !== undefined && value !== '' && value !== false)
        .map(([name, value]) => (
          <div key={name} data-wide={typeof value === 'string' && value.length > WIDE}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}
