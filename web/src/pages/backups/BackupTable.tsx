import { Anchor, Text } from '@mantine/core';
import { useState } from 'react';
import { Link } from 'react-router';
import type { Backup } from '../../api/types';
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
      </div>
    ),
  },
  { key: 'tier', label: 'Tier', sortable: true, cell: ({ tier }) => TIERS[tier] },
  { key: 'plan', label: 'Plan', sortable: true, cell: ({ plan }) => plan },
  { key: 'state', label: 'State', sortable: true, cell: ({ state }) => <Status {...STATES[state]} /> },
  { key: 'trust', label: 'Trust', cell: ({ trust }) => <TrustBadge trust={trust} /> },
  { key: 'bytes', label: 'Size', sortable: true, numeric: true, cell: (backup) => (backup.bytes == null ? '–' : bytes(backup.bytes)) },
  {
    key: 'durationMs',
    label: 'Took',
    sortable: true,
    numeric: true,
    cell: (backup) => (backup.durationMs == null ? '–' : duration(backup.durationMs)),
  },
  {
    key: 'pinned',
    label: 'Pinned',
    cell: ({ pinned }) => (pinned ? <Status tone="idle" icon="pin" label="Pinned" /> : 'No'),
  },
];

export function BackupTable({ backups, search }: { backups: Backup[]; search: string }) {
  const [sort, setSort] = useState<Sort>({ key: 'startedAt', down: true });
  const words = search.trim().toLowerCase();
  const rows = backups
    .filter((backup) => `${backup.name} ${backup.description ?? ''} ${backup.id}`.toLowerCase().includes(words))
    .toSorted((a, b) => compare(a, b, sort.key as keyof Backup) * (sort.down ? -1 : 1));
  if (rows.length === 0) {
    return (
      <Empty title={backups.length > 0 || words ? 'No backup fits' : 'There is no backup here'}>
        <p>Take filters away, or make a backup with “Back up now”.</p>
      </Empty>
    );
  }
  return (
    <Table
      label="Backups"
      columns={COLUMNS}
      rows={rows}
      rowKey={(backup) => backup.id}
      sort={sort}
      onSort={(key) => setSort({ key, down: sort.key === key ? !sort.down : true })}
    />
  );
}

function compare(a: Backup, b: Backup, key: keyof Backup): number {
  const [left, right] = [a[key] ?? 0, b[key] ?? 0];
  if (typeof left === 'number' && typeof right === 'number') return left - right;
  return String(left).localeCompare(String(right));
}
