import { Anchor, Button, List, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, unwrap } from '../../api/client';
import { cleanupQuery } from '../../api/queries';
import { ConfirmDialog } from '../../components/ConfirmDialog';
import { Empty } from '../../components/Empty';
import { JobProgress } from '../../components/JobProgress';
import { JobResult } from '../../components/JobResult';
import { Loaded } from '../../components/Loaded';
import { Notice } from '../../components/Notice';
import { PageHeader } from '../../components/PageHeader';
import { Panel } from '../../components/Panel';
import { Status } from '../../components/Status';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useAction } from '../../hooks/useAction';
import { useSession } from '../../hooks/useSession';
import { bytes, capital, plural, when, withTimes } from '../../lib/format';
import { TIERS } from '../../lib/words';
import { TimeLine } from './TimeLine';

export default function RetentionPage() {
  const { isAdmin } = useSession();
  const query = useQuery(cleanupQuery);
  const [asking, setAsking] = useState(false);
  const [job, setJob] = useState<string>();
  const cleanup = useAction({
    run: () => unwrap(api.POST('/api/backup/cleanup')),
    after: ({ id }) => {
      setAsking(false);
      setJob(id);
    },
  });
  return (
    <Loaded query={query} what="what a cleanup would do">
      {({ backups, freedBytes, repository, blocked }) => {
        const going = backups.filter(({ keep }) => !keep);
        const lead =
          going.length === 0
            ? 'A cleanup would remove nothing now.'
            : `A cleanup would remove ${plural(going.length, 'backup')} and free ${bytes(freedBytes)}.`;
        return (
          <>
            <PageHeader title="Retention" lead={lead}>
              {isAdmin && (
                <Button disabled={going.length === 0 && !repository} onClick={() => setAsking(true)}>
                  Clean up now
                </Button>
              )}
            </PageHeader>
            {blocked && <Notice tone="warn" title="Less is removed than the policy says">{<p>{blocked}.</p>}</Notice>}
            {repository && <Notice tone="info" title="The repository">{<p>{repository}</p>}</Notice>}
            {job && (
              <Panel>
                <JobProgress id={job} />
                <JobResult id={job} />
              </Panel>
            )}
            <Panel title="Time line">
              {backups.length === 0 ? <Empty title="There is no backup yet" /> : <TimeLine lines={backups} />}
            </Panel>
            {backups.length > 0 && (
              <Panel title="Each backup and why">
                <Table
                  label="Fate of each backup"
                  rows={backups}
                  rowKey={(line) => line.id}
                  columns={[
                    {
                      key: 'made',
                      label: 'Made',
                      cell: ({ id, createdAt }) => (
                        <Anchor component={Link} to={`/backups/${id}`}>
                          <Time at={createdAt} />
                        </Anchor>
                      ),
                    },
                    { key: 'tier', label: 'Tier', cell: ({ type }) => TIERS[type as keyof typeof TIERS] ?? type },
                    { key: 'plan', label: 'Plan', cell: ({ plan }) => plan },
                    { key: 'size', label: 'Size', numeric: true, cell: ({ sizeBytes }) => bytes(sizeBytes) },
                    { key: 'fate', label: 'Fate', cell: ({ keep }) => <Status tone={keep ? 'info' : 'warn'} label={keep ? 'Stays' : 'Goes'} /> },
                    { key: 'why', label: 'Why', cell: ({ reason }) => capital(withTimes(reason)) },
                  ]}
                />
              </Panel>
            )}
            {asking && (
              <ConfirmDialog
                title="Clean up now?"
                action={going.length > 0 ? `Remove ${plural(going.length, 'backup')}` : 'Clean up'}
                busy={cleanup.isPending}
                error={cleanup.error}
                onConfirm={() => cleanup.mutate()}
                onClose={() => setAsking(false)}
              >
                <Stack gap="xs">
                  {repository && <Text>{repository}</Text>}
                  {going.length > 0 && <Text>This cannot be undone. What goes, {bytes(freedBytes)} in all:</Text>}
                  <List size="sm">
                    {going.map((line) => (
                      <List.Item key={line.id}>
                        {when(line.createdAt)}, {line.type}: {withTimes(line.reason)}
                      </List.Item>
                    ))}
                  </List>
                </Stack>
              </ConfirmDialog>
            )}
          </>
        );
      }}
    </Loaded>
  );
}
