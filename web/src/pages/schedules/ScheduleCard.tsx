import { Button, Text } from '@mantine/core';
import type { ScheduleView } from '../../api/types';
import { Panel } from '../../components/Panel';
import { Time } from '../../components/Time';
import { useSession } from '../../hooks/useSession';
import { browserZone, when, whenIn } from '../../lib/format';
import { TASKS } from '../../lib/words';
import classes from './ScheduleCard.module.css';

interface Props {
  schedule: ScheduleView;
  zone: string;
  onEdit: () => void;
}

/** One schedule: in words, and its next runs. */
export function ScheduleCard({ schedule, zone, onEdit }: Props) {
  const { isAdmin } = useSession();
  const { plan, task, sentence, expression, edited, nextRuns, lastRun } = schedule;
  const name = TASKS[task] ?? task;
  const elsewhere = zone !== browserZone;
  return (
    <Panel
      title={plan ? `${name}, plan ${plan}` : name}
      aside={
        isAdmin && (
          <Button size="xs" variant="default" aria-label={plan ? `Change ${name} of plan ${plan}` : `Change ${name}`} onClick={onEdit}>
            Change
          </Button>
        )
      }
    >
      <Text fw={600}>{sentence ?? 'Off'}</Text>
      <Text size="sm" c="dimmed">
        {expression && <code>{expression}</code>} {edited ? 'Set here.' : 'As configured.'} {lastRun ? <>Last ran <Time at={lastRun} relative />.</> : 'Has not run yet.'}
      </Text>
      {nextRuns.length > 0 && (
        <>
          <Text size="sm" fw={600} mt="sm" mb={4}>
            Next runs
          </Text>
          <ol className={classes.runs} data-zones={elsewhere ? 2 : 1} aria-label={`Next runs: ${name}`}>
            {nextRuns.map((run) => (
              <li key={run}>
                <span>{when(run)}</span>
                {elsewhere && <span className={classes.there}>{whenIn(run, zone)}</span>}
              </li>
            ))}
          </ol>
        </>
      )}
    </Panel>
  );
}
