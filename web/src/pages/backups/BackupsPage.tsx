import { Button, Group, Select, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { backupsQuery, plansQuery, type BackupFilter } from '../../api/queries';
import type { BackupSort, State, Tier } from '../../api/types';
import { Icon } from '../../components/Icon';
import { Loaded } from '../../components/Loaded';
import { PageHeader } from '../../components/PageHeader';
import { Panel } from '../../components/Panel';
import { ScheduleStrip } from '../../components/ScheduleStrip';
import { useSession } from '../../hooks/useSession';
import { count, plural } from '../../lib/format';
import { STATES, TIERS } from '../../lib/words';
import { BackupTable } from './BackupTable';
import { CreateDialog } from './CreateDialog';

const PER_PAGE = 50;

export default function BackupsPage() {
  const { isAdmin } = useSession();
  const [params, setParams] = useSearchParams();
  const [filter, setFilter] = useState<BackupFilter>({});
  const [search, setSearch] = useState('');
  const [words] = useDebouncedValue(search.trim(), 300);
  const [sort, setSort] = useState<{ key: BackupSort; down: boolean }>({ key: 'startedAt', down: true });
  const wanted = { ...filter, search: words || undefined, sort: sort.key, ascending: !sort.down };
  const query = useInfiniteQuery(backupsQuery(wanted, PER_PAGE));
  const plans = useQuery(plansQuery);
  const creating = isAdmin && params.has('create');
  return (
    <>
      <PageHeader title="Backups">
        {isAdmin && (
          <Button leftSection={<Icon name="plus" />} onClick={() => setParams({ create: '' })}>
            Back up now
          </Button>
        )}
      </PageHeader>
      <ScheduleStrip />
      <Panel>
        <Group mb="md" gap="sm" align="flex-end">
          <TextInput
            label="Search"
            placeholder="Name, words or id"
            value={search}
            onChange={(event) => setSearch(event.currentTarget.value)}
          />
          <Select
            label="Tier"
            placeholder="All"
            clearable
            data={Object.entries(TIERS).map(([value, label]) => ({ value, label }))}
            onChange={(tier) => setFilter({ ...filter, tier: (tier as Tier | null) ?? undefined })}
          />
          <Select
            label="State"
            placeholder="All"
            clearable
            data={Object.entries(STATES).map(([value, { label }]) => ({ value, label }))}
            onChange={(state) => setFilter({ ...filter, state: (state as State | null) ?? undefined })}
          />
          <Select
            label="Plan"
            placeholder="All"
            clearable
            data={plans.data?.plans.map((plan) => plan.name) ?? []}
            onChange={(plan) => setFilter({ ...filter, plan: plan ?? undefined })}
          />
        </Group>
        <Loaded query={query} what="the backups">
          {({ pages }) => {
            const backups = pages.flatMap((page) => page.backups);
            const total = pages[0]?.total ?? 0;
            const all = !words && Object.values(filter).every((part) => part === undefined);
            return (
              <>
                <BackupTable backups={backups} all={all} sort={sort} onSort={setSort} />
                {total > 0 && (
                  <Group mt="md" gap="sm">
                    <Text size="sm" c="dimmed" role="status">
                      {backups.length < total ? `${count(backups.length)} of ${plural(total, 'backup')}` : plural(total, 'backup')}
                    </Text>
                    {query.hasNextPage && (
                      <Button variant="default" size="xs" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                        Show more
                      </Button>
                    )}
                  </Group>
                )}
              </>
            );
          }}
        </Loaded>
      </Panel>
      {creating && <CreateDialog plan={params.get('create') || undefined} onClose={() => setParams({})} />}
    </>
  );
}
