import { Anchor, Button, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { Link } from 'react-router';
import { api, unwrap } from '../../api/client';
import { restoresQuery } from '../../api/queries';
import type { Restore } from '../../api/types';
import { ConfirmDialog } from '../../components/ConfirmDialog';
import { Empty } from '../../components/Empty';
import { Icon } from '../../components/Icon';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { Status } from '../../components/Status';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useAction } from '../../hooks/useAction';
import { useSession } from '../../hooks/useSession';
import { when } from '../../lib/format';
import { RESTORE_STATES } from '../../lib/words';

/** Restores until now. Last in, first out: the newest that is live can be undone, the one undone last can be redone. */
export function Restores({ onStarted }: { onStarted: (job: string) => void }) {
  const { isAdmin } = useSession();
  const query = useQuery(restoresQuery);
  const [asked, setAsked] = useState<Restore>();
  const undo = useAction({
    run: (id: string) => unwrap(api.POST('/api/restores/{id}/undo', { params: { path: { id } } })),
    after: (job) => {
      setAsked(undefined);
      onStarted(job.id);
    },
  });
  return (
    <Panel title="Restores until now">
      <Loaded query={query} what="the restores">
        {({ restores }) => {
          if (restores.length === 0) return <Empty title="Nothing was restored yet" />;
          const turn = whoseTurn(restores);
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
                {
                  key: 'state',
                  label: 'State',
                  breaks: true,
                  cell: (restore) => (
                    <>
                      <Status {...stateOf(restore)} />
                      {restore.error && <div>{`${restore.error.message}. ${restore.error.hint}`}</div>}
                    </>
                  ),
                },
                { key: 'until', label: 'Undo until', cell: ({ undoUntil, state }) => undoUntil && state === 'swapped' && <Time at={undoUntil} /> },
                {
                  key: 'undo',
                  label: 'Undo',
                  cell: (restore) =>
                    isAdmin &&
                    turn.includes(restore.id) && (
                      <Button size="compact-sm" variant="default" leftSection={<Icon name="undo" size={14} />} onClick={() => setAsked(restore)}>
                        {wordOf(restore)}
                      </Button>
                    ),
                },
              ]}
            />
          );
        }}
      </Loaded>
      {asked && (
        <ConfirmDialog
          title={`${wordOf(asked)} the restore of ${when(asked.startedAt)}?`}
          action={`${wordOf(asked)} it now`}
          busy={undo.isPending}
          error={undo.error}
          onConfirm={() => undo.mutate(asked.id)}
          onClose={() => {
            setAsked(undefined);
            undo.reset();
          }}
        >
          <Text>
            {asked.state === 'swapped'
              ? `What was live before that restore becomes live again: ${asked.components.join(', ')}.`
              : `What that restore had put in place becomes live again: ${asked.components.join(', ')}.`}
          </Text>
          <Text>
            Everything that the application changed since then goes out of use with it. It is kept beside and can be brought back in
            the same way, until the restore expires.
          </Text>
        </ConfirmDialog>
      )}
    </Panel>
  );
}

function wordOf({ state }: Restore): string {
  return state === 'undone' ? 'Redo' : 'Undo';
}

/** A restore into another place replaced nothing: there was no exchange. */
function stateOf({ state, swappedAt }: Restore) {
  return state === 'expired' && !swappedAt ? ELSEWHERE : RESTORE_STATES[state];
}

const ELSEWHERE = { label: 'In another place', tone: 'info' } as const;

/** The newest that is live, and the deepest of those undone above it. */
function whoseTurn(restores: Restore[]): string[] {
  const live = restores.findIndex(({ state }) => state === 'swapped');
  const above = live < 0 ? restores : restores.slice(0, live);
  const undone = above.findLast(({ state }) => state === 'undone');
  return [restores[live]?.id, undone?.id].filter((id) => id !== undefined);
}
