import { Button } from '@mantine/core';
import type { ScheduleView } from '../../api/types';
import { Panel } from '../../components/Panel';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useSession } from '../../hooks/useSession';
import { TASKS } from '../../lib/words';

interface Props {
  schedules: ScheduleView[];
  onEdit: (schedule: ScheduleView) => void;
}

/** What does not run by itself; nothing where everything does. */
export function OffSchedules({ schedules, onEdit }: Props) {
  const { isAdmin } = useSession();
  if (schedules.length === 0) return null;
  return (
    <Panel title="Off">
      <Table
        label="Schedules that are off"
        rows={schedules}
        rowKey={({ plan, task }) => `${plan ?? ''} ${task}`}
        columns={[
          { key: 'task', label: 'What', cell: ({ task }) => TASKS[task] ?? task },
          { key: 'plan', label: 'Plan', cell: ({ plan }) => plan ?? 'all' },
          { key: 'by', label: 'Since', cell: ({ edited }) => (edited ? 'Switched off here' : 'As configured') },
          { key: 'last', label: 'Last ran', cell: ({ lastRun }) => (lastRun ? <Time at={lastRun} relative /> : 'Never') },
          {
            key: 'change',
            label: 'Change',
            cell: (schedule) =>
              isAdmin && (
                <Button
                  size="compact-sm"
                  variant="default"
                  aria-label={`Change ${TASKS[schedule.task] ?? schedule.task}${schedule.plan ? ` of plan ${schedule.plan}` : ''}`}
                  onClick={() => onEdit(schedule)}
                >
                  Change
                </Button>
              ),
          },
        ]}
      />
    </Panel>
  );
}
