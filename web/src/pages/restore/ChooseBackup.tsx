import { Button } from '@mantine/core';
import { useInfiniteQuery } from '@tanstack/react-query';
import { backupsQuery } from '../../api/queries';
import { Empty } from '../../components/Empty';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { TrustBadge } from '../../components/TrustBadge';
import { TIERS } from '../../lib/words';

const SHOWN = 100;

export function ChooseBackup({ onChoose }: { onChoose: (id: string) => void }) {
  const query = useInfiniteQuery(backupsQuery({}, SHOWN));
  return (
    <Panel title="1. Choose a backup">
      <Loaded query={query} what="the backups">
        {({ pages }) => {
          const backups = pages.flatMap((page) => page.backups).filter(({ state }) => state === 'succeeded' || state === 'partial');
          if (backups.length === 0) return <Empty title="There is no backup to restore yet" />;
          return (
            <Table
              label="Backups to restore from"
              rows={backups}
              rowKey={(backup) => backup.id}
              columns={[
                { key: 'made', label: 'Made', cell: ({ startedAt }) => <Time at={startedAt} /> },
                { key: 'age', label: 'Age', cell: ({ startedAt }) => <Time at={startedAt} relative /> },
                { key: 'tier', label: 'Tier', cell: ({ tier }) => TIERS[tier] },
                { key: 'trust', label: 'Trust', cell: ({ trust }) => <TrustBadge trust={trust} /> },
                { key: 'words', label: 'Description', cell: ({ description }) => description ?? '' },
                {
                  key: 'choose',
                  label: 'Choose',
                  cell: ({ id }) => (
                    <Button size="compact-sm" variant="default" aria-label={`Choose backup ${id}`} onClick={() => onChoose(id)}>
                      Choose
                    </Button>
                  ),
                },
              ]}
            />
          );
        }}
      </Loaded>
    </Panel>
  );
}
