import { Anchor, Button } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { api, unwrap } from '../../api/client';
import { restoresQuery } from '../../api/queries';
import { Empty } from '../../components/Empty';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Icon } from '../../components/Icon';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { Status } from '../../components/Status';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useAction } from '../../hooks/useAction';
import { useSession } from '../../hooks/useSession';
import { RESTORE_STATES } from '../../lib/words';

/** Restores until now; the newest that is live can be undone. */
export function Restores({ onStarted }: { onStarted: (job: string) => void }) {
  const { isAdmin } = useSession();
  const query = useQuery(restoresQuery);
  const undo = useAction({
    run: (id: string) => unwrap(api.POST('/api/restores/{id}/undo', { params: { path: { id } } })),
    after: (job) => onStarted(job.id),
  });
  return (
    <Panel title="Restores until now">
      {undo.error && <ErrorNotice error={undo.error} />}
      <Loaded query={query} what="the restores">
        {({ restores }) => {
          if (restores.length === 0) return <Empty title="Nothing was restored yet" />;
          const newest = restores.find(({ state }) => state === 'swapped')?.id;
          return (
            <Table
              label="Restores"
              rows={restores}
              rowKey={(restore) => restore.id}
              columns={[
                { key: 'at', label: 'When', cell: ({ startedAt }) => <Time at={startedAt} /> },
                {
                  key: 'backup',
                  label: 'From',
                  cell: ({ backupId }) => (
                    <Anchor component={Link} to={`/backups/${backupId}`}>
                      {backupId}
                    </Anchor>
                  ),
                },
                { key: 'components', label: 'Components', cell: ({ components }) => components.join(', ') },
                { key: 'state', label: 'State', cell: ({ state }) => <Status {...RESTORE_STATES[state]} /> },
                { key: 'until', label: 'Undo until', cell: ({ undoUntil, state }) => undoUntil && state === 'swapped' && <Time at={undoUntil} /> },
                { key: 'error', label: 'Note', breaks: true, cell: ({ error }) => error && `${error.message}. ${error.hint}` },
                {
                  key: 'undo',
                  label: 'Undo',
                  cell: ({ id }) =>
                    isAdmin &&
                    id === newest && (
                      <Button size="compact-sm" variant="default" leftSection={<Icon name="undo" size={14} />} loading={undo.isPending} onClick={() => undo.mutate(id)}>
                        Undo
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
