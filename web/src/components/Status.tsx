import type { Tone } from '../lib/words';
import { Icon, type IconName } from './Icon';
import classes from './Status.module.css';

const ICONS: Record<Tone, IconName> = {
  proven: 'check',
  info: 'check',
  busy: 'clock',
  warn: 'warning',
  bad: 'cross',
  idle: 'info',
};

interface Props {
  tone: Tone;
  label: string;
  icon?: IconName;
}

/** A state in one word; never by colour alone. */
export function Status({ tone, label, icon }: Props) {
  return (
    <span className={classes.status} data-tone={tone}>
      <Icon name={icon ?? ICONS[tone]} size={14} />
      {label}
    </span>
  );
}
