import { Anchor, Text } from '@mantine/core';
import { Link } from 'react-router';
import type { Backup, BackupSort } from '../../api/types';
import { Empty } from '../../components/Empty';
import { Status } from '../../components/Status';
import { Table, type Column, type Sort } from '../../components/Table';
import { Time } from '../../components/Time';
import { TrustBadge } from '../../components/TrustBadge';
import { bytes, duration } from '../../lib/format';
import { STATES, TIERS } from '../../lib/words';

const COLUMNS: Column<Backup>[] = [
  {
    key: 'startedAt',
    label: 'Made',
    sortable: true,
    cell: (backup) => (
      <div>
        <Anchor component={Link} to={`/backups/${backup.id}`} fw={600}>
          <Time at={backup.startedAt} />
        </Anchor>
        <Text size="sm" c="dimmed">
          {backup.description ?? backup.id}
        </Text>
        {backup.pinned && <Status tone="idle" icon="pin" label="Pinned" />}
      </div>
    ),
  },
  { key: 'tier', label: 'Tier', sortable: true, cell: ({ tier }) => TIERS[tier] },
  { key: 'plan', label: 'Plan', sortable: true, cell: ({ plan }) => plan },
  { key: 'state', label: 'State', sortable: true, cell: ({ state }) => <Status {...STATES[state]} /> },
  { key: 'trust', label: 'Trust', sortable: true, cell: ({ trust }) => <TrustBadge trust={trust} /> },
  { key: 'bytes', label: 'Size', sortable: true, numeric: true, cell: (backup) => (backup.bytes == null ? '–' : bytes(backup.bytes)) },
  {
    key: 'durationMs',
    label: 'Took',
    sortable: true,
    numeric: true,
    cell: (backup) => (backup.durationMs == null ? '–' : duration(backup.durationMs)),
  },
];

interface Props {
  backups: Backup[];
  /** Nothing is left out. */
  all: boolean;
  sort: Sort;
  onSort: (sort: Sort & { key: BackupSort }) => void;
}

/** Backups in the order that the service gives them. */
export function BackupTable({ backups, all, sort, onSort }: Props) {
  if (backups.length === 0) {
    return (
      <Empty title={all ? 'There is no backup yet' : 'No backup fits'}>
        <p>{all ? 'Make the first with “Back up now”.' : 'Take filters away, or search for something else.'}</p>
      </Empty>
    );
  }
  return (
    <Table
      label="Backups"
      columns={COLUMNS}
      rows={backups}
      rowKey={(backup) => backup.id}
      sort={sort}
      onSort={(key) => onSort({ key: key as BackupSort, down: sort.key === key ? !sort.down : true })}
    />
  );
}
