import type { ReactNode } from 'react';
import { PageHeader } from '../components/PageHeader';
import { Panel } from '../components/Panel';
import classes from './Single.module.css';

/** A page without navigation: sign-in and set-up. */
export function Single({ title, lead, children }: { title: string; lead: string; children: ReactNode }) {
  return (
    <main className={classes.single}>
      <img src="/icon.svg" alt="" width={44} height={44} />
      <PageHeader title={title} lead={lead} />
      <Panel>{children}</Panel>
    </main>
  );
}
