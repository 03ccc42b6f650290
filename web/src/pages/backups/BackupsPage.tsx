import { Button, Group, Select, TextInput } from '@mantine/core';
import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useSearchParams } from 'react-router';
import { backupsQuery, plansQuery, type BackupFilter } from '../../api/queries';
import type { State, Tier } from '../../api/types';
import { Icon } from '../../components/Icon';
import { Loaded } from '../../components/Loaded';
import { PageHeader } from '../../components/PageHeader';
import { Panel } from '../../components/Panel';
import { ScheduleStrip } from '../../components/ScheduleStrip';
import { useSession } from '../../hooks/useSession';
import { plural } from '../../lib/format';
import { STATES, TIERS } from '../../lib/words';
import { BackupTable } from './BackupTable';
import { CreateDialog } from './CreateDialog';

const PER_PAGE = 200;

export default function BackupsPage() {
  const { isAdmin } = useSession();
  const [params, setParams] = useSearchParams();
  const [filter, setFilter] = useState<BackupFilter>({});
  const [search, setSearch] = useState('');
  const query = useInfiniteQuery(backupsQuery(filter, PER_PAGE));
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
            return (
              <>
                <BackupTable backups={backups} search={search} />
                {query.hasNextPage && (
                  <Button variant="default" mt="md" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                    Show more: {plural(backups.length, 'backup')} of {pages[0]?.total} are here
                  </Button>
                )}
              </>
            );
          }}
        </Loaded>
      </Panel>
      {creating && <CreateDialog onClose={() => setParams({})} />}
    </>
  );
}
