import type { ReactNode } from 'react';
import classes from './Empty.module.css';

interface Props {
  title: string;
  /** What to do about it. */
  children?: ReactNode;
}

/** Nothing is here, and why that may be. */
export function Empty({ title, children }: Props) {
  return (
    <div className={classes.empty}>
      <p className={classes.title}>{title}</p>
      {children}
    </div>
  );
}
