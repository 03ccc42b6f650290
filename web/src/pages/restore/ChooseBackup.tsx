import { Button, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { backupsQuery } from '../../api/queries';
import { Empty } from '../../components/Empty';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { TrustBadge } from '../../components/TrustBadge';
import { TIERS } from '../../lib/words';

const PER_PAGE = 25;

export function ChooseBackup({ onChoose }: { onChoose: (id: string) => void }) {
  const [search, setSearch] = useState('');
  const [words] = useDebouncedValue(search.trim(), 300);
  const query = useInfiniteQuery(backupsQuery({ restorable: true, search: words || undefined }, PER_PAGE));
  return (
    <Panel title="1. Choose a backup">
      <TextInput
        label="Search"
        placeholder="Name, words or id"
        maw={320}
        mb="md"
        value={search}
        onChange={(event) => setSearch(event.currentTarget.value)}
      />
      <Loaded query={query} what="the backups">
        {({ pages }) => {
          const backups = pages.flatMap((page) => page.backups);
          if (backups.length === 0) {
            return words ? (
              <Empty title="No backup fits" />
            ) : (
              <Empty title="There is no backup to restore yet">
                <p>Make one on the page Backups. A backup that lies elsewhere restores with “strongroom restore” and its path.</p>
              </Empty>
            );
          }
          return (
            <>
            <Table
              label="Backups to restore from"
              rows={backups}
              rowKey={(backup) => backup.id}
              columns={[
                { key: 'made', label: 'Made', cell: ({ startedAt }) => <Time at={startedAt} /> },
                { key: 'age', label: 'Age', cell: ({ startedAt }) => <Time at={startedAt} relative /> },
                { key: 'tier', label: 'Tier', cell: ({ tier }) => TIERS[tier] },
                { key: 'plan', label: 'Plan', cell: ({ plan }) => plan },
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
            {query.hasNextPage && (
              <Button variant="default" size="xs" mt="md" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                Show older backups
              </Button>
            )}
            </>
          );
        }}
      </Loaded>
    </Panel>
  );
}
