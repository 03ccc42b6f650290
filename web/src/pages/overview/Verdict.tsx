import { Text, Title } from '@mantine/core';
import type { Status } from '../../api/types';
import { Icon } from '../../components/Icon';
import { useNow } from '../../hooks/useNow';
import { ago, capital } from '../../lib/format';
import type { Tone } from '../../lib/words';
import { byPlan } from './plans';
import classes from './Verdict.module.css';

/** Is everything protected? Green only when the newest backup of every plan was restored and compared equal. */
export function Verdict({ status }: { status: Status }) {
  const { tone, title, text } = judge(status, useNow());
  return (
    <section className={classes.verdict} data-tone={tone} aria-label="Is everything protected?">
      <span className={classes.mark}>
        <Icon name={tone === 'proven' ? 'shield' : tone === 'info' ? 'clock' : 'warning'} size={30} />
      </span>
      <div>
        <Title order={2} size="h3">
          {title}
        </Title>
        <Text>{text}</Text>
        {status.alarms.length > 0 && (
          <ul>
            {status.alarms.map((alarm) => (
              <li key={alarm}>{alarm}</li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

function judge(status: Status, now: number): { tone: Tone; title: string; text: string } {
  const plans = byPlan(status.plans);
  const oldest = plans.map((plan) => plan.lastSuccess ?? '').toSorted()[0];
  if (!plans.some((plan) => plan.lastSuccess)) {
    return { tone: 'bad', title: 'Nothing is protected yet', text: 'There is no good backup. Make one now.' };
  }
  if (!oldest) return { tone: 'bad', title: 'Not everything is protected', text: 'A plan has no good backup.' };
  const failed = plans.filter((plan) => (plan.lastFailure ?? '') > (plan.lastSuccess ?? ''));
  if (failed.length > 0) {
    const names = failed.map((plan) => plan.name).join(', ');
    const why = status.lastFailure?.error;
    const text = `Plan ${names}: the newest good backup is from ${ago(oldest, now)}. ${why ? `${capital(why.message)}. ${why.hint}` : ''}`;
    return { tone: 'bad', title: 'The last backup failed', text };
  }
  if (status.alarms.length > 0) {
    return { tone: 'warn', title: 'Something needs your attention', text: `The newest good backup is from ${ago(oldest, now)}.` };
  }
  if (!status.scheduler.isRunning) {
    return { tone: 'warn', title: 'Nothing runs by itself', text: `The schedules are stopped. The newest good backup is from ${ago(oldest, now)}.` };
  }
  if (plans.every((plan) => plan.trust.restored)) {
    return { tone: 'proven', title: 'Everything is protected, and proven to restore', text: `The newest backup is from ${ago(oldest, now)}.` };
  }
  return {
    tone: 'info',
    title: 'Backed up; the newest backup is not yet proven to restore',
    text: `It is from ${ago(oldest, now)}. The next drill restores it into a scratch place and compares.`,
  };
}
