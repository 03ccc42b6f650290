import { Button, Group, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, unwrap } from '../api/client';
import { overviewQuery, schedulesQuery } from '../api/queries';
import { useAction } from '../hooks/useAction';
import { useSession } from '../hooks/useSession';
import { ErrorNotice } from './ErrorNotice';
import { Icon } from './Icon';
import { Panel } from './Panel';
import { Status } from './Status';
import { Time } from './Time';

/** Whether anything runs by itself, and the switch for it. */
export function ScheduleStrip() {
  const { isAdmin } = useSession();
  const next = useQuery(overviewQuery).data?.scheduler.nextRun;
  const schedules = useQuery(schedulesQuery).data;
  const change = useAction({
    run: (start: boolean) => unwrap(start ? api.POST('/api/schedules/start') : api.POST('/api/schedules/stop')),
    done: ({ running }) => (running ? 'Scheduled backups run' : 'Scheduled backups are stopped, until somebody starts them'),
  });
  if (!schedules) return null;
  const { running, disabledByConfiguration } = schedules;
  return (
    <Panel>
      <Group justify="space-between">
        <Group gap="sm">
          <Status tone={running ? 'info' : 'warn'} label={running ? 'Schedules run' : 'Schedules are stopped'} />
          <Text>{running && next ? <>Next backup: <Time at={next} /></> : 'Nothing runs by itself'}</Text>
        </Group>
        {isAdmin && (
          <Button
            variant="default"
            disabled={disabledByConfiguration}
            loading={change.isPending}
            leftSection={<Icon name={running ? 'stop' : 'play'} size={16} />}
            onClick={() => change.mutate(!running)}
          >
            {running ? 'Stop the schedules' : 'Start the schedules'}
          </Button>
        )}
      </Group>
      {disabledByConfiguration && <Text size="sm">Switched off in the configuration: ENABLE_SCHEDULED_BACKUPS=false.</Text>}
      {change.error && <ErrorNotice error={change.error} />}
    </Panel>
  );
}
