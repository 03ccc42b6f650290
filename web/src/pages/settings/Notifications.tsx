import { Button, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { api, unwrap } from '../../api/client';
import { channelsQuery } from '../../api/queries';
import { Empty } from '../../components/Empty';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Loaded } from '../../components/Loaded';
import { Notice } from '../../components/Notice';
import { Table } from '../../components/Table';
import { useAction } from '../../hooks/useAction';
import { useSession } from '../../hooks/useSession';

/** Where messages go, and whether they arrive. */
export function Notifications() {
  const { isAdmin } = useSession();
  const query = useQuery(channelsQuery);
  const test = useAction({
    run: (channel: string | null) =>
      unwrap(channel === null ? api.POST('/api/backup/test-email') : api.POST('/api/notifications/test', { body: { channel } })),
  });
  return (
    <Stack>
      {isAdmin && (
        <Button variant="default" w="fit-content" loading={test.isPending && test.variables === null} onClick={() => test.mutate(null)}>
          Send a test e-mail
        </Button>
      )}
      {test.error && <ErrorNotice error={test.error} />}
      {test.data && <Notice tone="info" title={`The test to ${test.data.channel} was taken: ${test.data.message}`} live />}
      <Loaded query={query} what="the channels">
        {({ channels }) =>
          channels.length === 0 ? (
            <Empty title="Nobody is told when a backup fails">
              <p>Set BACKUP_EMAIL_ENABLED, SMTP_HOST and BACKUP_EMAIL_TO, or a web hook, and reload the configuration.</p>
            </Empty>
          ) : (
            <Table
              label="Channels"
              rows={channels}
              rowKey={(channel) => channel.name}
              columns={[
                { key: 'name', label: 'Channel', cell: ({ name, kind }) => (name === kind ? name : `${name} (${kind})`) },
                { key: 'target', label: 'To', breaks: true, cell: ({ target }) => target },
                { key: 'events', label: 'About', cell: ({ events }) => events.join(', ') },
                { key: 'trouble', label: 'Trouble', breaks: true, cell: ({ lastError }) => lastError ?? 'None' },
                {
                  key: 'test',
                  label: 'Test',
                  cell: ({ name }) =>
                    isAdmin && (
                      <Button size="compact-sm" variant="default" aria-label={`Test ${name}`} loading={test.isPending && test.variables === name} onClick={() => test.mutate(name)}>
                        Test
                      </Button>
                    ),
                },
              ]}
            />
          )
        }
      </Loaded>
    </Stack>
  );
}
