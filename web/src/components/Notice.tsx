import type { ReactNode } from 'react';
import type { Tone } from '../lib/words';
import { Icon, type IconName } from './Icon';
import classes from './Notice.module.css';

const ICONS: Record<Tone, IconName> = {
  proven: 'check',
  info: 'info',
  busy: 'clock',
  warn: 'warning',
  bad: 'warning',
  idle: 'info',
};

interface Props {
  tone: Tone;
  title: string;
  children?: ReactNode;
  /** Screen readers speak it at once: for what just happened. */
  live?: boolean;
}

/** Something a person should know, with what to do. */
export function Notice({ tone, title, children, live = false }: Props) {
  return (
    <div className={classes.notice} data-tone={tone} role={live ? 'alert' : undefined}>
      <Icon name={ICONS[tone]} size={20} />
      <div className={classes.text}>
        <p className={classes.title}>{title}</p>
        {children}
      </div>
    </div>
  );
}
