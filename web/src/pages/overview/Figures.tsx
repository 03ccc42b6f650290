import { Text } from '@mantine/core';
import { Facts } from '../../components/Facts';
import { Panel } from '../../components/Panel';
import { Time, TimeInBoth } from '../../components/Time';
import type { Status } from '../../api/types';
import { bytes, count, plural } from '../../lib/format';

/** What there is, and what comes next. */
export function Figures({ status }: { status: Status }) {
  const { disk, scheduler, lastFailure, email, outbox } = status;
  return (
    <Panel title="Now">
      <Facts
        facts={[
          ['Next backup', scheduler.nextRun ? <TimeInBoth at={scheduler.nextRun} /> : 'None: the schedules are stopped'],
          ['Daily schedule', `${scheduler.schedule} (${scheduler.timezone})`],
          ['Backups on record', count(status.totalBackups)],
          ['Storage used', bytes(status.storedBytes)],
          ['Disk', disk && `${bytes(disk.freeBytes)} free of ${bytes(disk.totalBytes)}`],
          ['Last failure', lastFailure ? <Time at={lastFailure.startedAt} relative /> : 'None on record'],
          ['E-mail', email.enabled ? (email.lastError ?? (email.configured ? 'On' : 'On, but not configured')) : 'Off'],
          ['Messages', outbox.givenUp > 0 && <Text c="var(--bad)">{plural(outbox.givenUp, 'message')} never arrived</Text>],
        ]}
      />
    </Panel>
  );
}
