import { Text, Title } from '@mantine/core';
import type { Status } from '../../api/types';
import { Icon } from '../../components/Icon';
import { useNow } from '../../hooks/useNow';
import { capital, since, withTimes } from '../../lib/format';
import type { Tone } from '../../lib/words';
import type { PlanSummary } from './plans';
import classes from './Verdict.module.css';

/** Is everything protected? Green only when the newest backup of every plan was restored and compared equal. */
export function Verdict({ status, plans }: { status: Status; plans: PlanSummary[] }) {
  const { tone, title, text } = judge(status, plans.filter(({ configured }) => configured), useNow());
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
              <li key={alarm}>{withTimes(alarm)}</li>
            ))}
          </ul>
        )}
      </div>
    </section>
  );
}

function judge(status: Status, plans: PlanSummary[], now: number): { tone: Tone; title: string; text: string } {
  const without = plans.filter((plan) => !plan.lastSuccess).map(({ name }) => name);
  if (without.length === plans.length) {
    return { tone: 'bad', title: 'Nothing is protected yet', text: 'There is no good backup. Make one now.' };
  }
  const oldest = plans.flatMap((plan) => plan.lastSuccess ?? []).toSorted()[0]!;
  const newest = plans.length > 1 ? 'The newest backup of every plan is at most this old' : 'The newest good backup is this old';
  const age = `${newest}: ${since(oldest, now)}.`;
  const failed = plans.filter((plan) => (plan.lastFailure ?? '') > (plan.lastSuccess ?? '')).map(({ name }) => name);
  if (failed.length > 0) {
    const why = status.lastFailure?.error;
    const text = `Plan ${failed.join(', ')}. ${why ? `${capital(why.message)}. ${why.hint}` : ''}`;
    return { tone: 'bad', title: 'The last backup failed', text };
  }
  if (without.length > 0) {
    return { tone: 'bad', title: 'Not everything is protected', text: `Plan ${without.join(', ')} has no good backup. Make one now.` };
  }
  if (status.alarms.length > 0) return { tone: 'warn', title: 'Something needs your attention', text: age };
  if (!status.scheduler.isRunning) {
    return { tone: 'warn', title: 'Nothing runs by itself', text: `The schedules are stopped. ${age}` };
  }
  const unproven = plans.filter((plan) => !plan.trust.restored).map(({ name }) => name);
  if (unproven.length === 0) return { tone: 'proven', title: 'Everything is protected, and proven to restore', text: age };
  return {
    tone: 'info',
    title: 'Backed up; not yet all of it proven to restore',
    text: `${age} The next drill restores the newest backup of ${unproven.join(', ')} into a scratch place and compares.`,
  };
}
