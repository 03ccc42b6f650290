import { Button, List, Text } from '@mantine/core';
import type { ScheduleView } from '../../api/types';
import { Panel } from '../../components/Panel';
import { Time } from '../../components/Time';
import { useSession } from '../../hooks/useSession';
import { browserZone, when, whenIn } from '../../lib/format';
import { TASKS } from '../../lib/words';

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
  return (
    <Panel
      title={plan ? `${name}, plan ${plan}` : name}
      aside={
        isAdmin && (
          <Button size="xs" variant="default" aria-label={`Change ${name}`} onClick={onEdit}>
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
          <Text size="sm" fw={600} mt="sm">
            Next runs
          </Text>
          <List size="sm" type="ordered" className="numbers">
            {nextRuns.map((run) => (
              <List.Item key={run}>
                {when(run)}
                {zone !== browserZone && ` (there: ${whenIn(run, zone)})`}
              </List.Item>
            ))}
          </List>
        </>
      )}
    </Panel>
  );
}
