import { Group, Title } from '@mantine/core';
import { useEffect, type ReactNode } from 'react';
import classes from './PageHeader.module.css';

interface Props {
  title: string;
  /** One line below it. */
  lead?: ReactNode;
  /** Buttons. */
  children?: ReactNode;
}

/** A page's heading, which also names the browser's tab. */
export function PageHeader({ title, lead, children }: Props) {
  useEffect(() => {
    document.title = `${title} · Strongroom`;
  }, [title]);
  return (
    <header className={classes.header}>
      <div className={classes.words}>
        <Title order={1}>{title}</Title>
        {lead && <p className={classes.lead}>{lead}</p>}
      </div>
      {children && <Group gap="xs">{children}</Group>}
    </header>
  );
}
