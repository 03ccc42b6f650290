import { Button, PasswordInput, Stack, Title } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { api, unwrap } from '../../api/client';
import { sessionsQuery } from '../../api/queries';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Loaded } from '../../components/Loaded';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useAction } from '../../hooks/useAction';

/** One's password and signed-in browsers. */
export function Account() {
  const sessions = useQuery(sessionsQuery);
  const [oldPassword, setOld] = useState('');
  const [newPassword, setNew] = useState('');
  const change = useAction({
    run: () => unwrap(api.PUT('/api/session/password', { body: { oldPassword, newPassword } })),
    done: () => 'The password is changed; other browsers are signed out',
    after: () => {
      setOld('');
      setNew('');
    },
  });
  const end = useAction({ run: (id: string) => unwrap(api.DELETE('/api/sessions/{id}', { params: { path: { id } } })) });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <Stack>
      <form onSubmit={submit}>
        <Stack maw={360}>
          <PasswordInput label="Password until now" required autoComplete="current-password" value={oldPassword} onChange={(event) => setOld(event.currentTarget.value)} />
          <PasswordInput
            label="New password, at least 10 characters"
            required
            minLength={10}
            autoComplete="new-password"
            value={newPassword}
            onChange={(event) => setNew(event.currentTarget.value)}
          />
          {change.error && <ErrorNotice error={change.error} />}
          <Button type="submit" loading={change.isPending}>
            Change the password
          </Button>
        </Stack>
      </form>
      <Title order={2}>Signed-in browsers</Title>
      {end.error && <ErrorNotice error={end.error} />}
      <Loaded query={sessions} what="the signed-in browsers">
        {(list) => (
          <Table
            label="Signed-in browsers"
            rows={list.sessions}
            rowKey={(session) => session.id}
            columns={[
              { key: 'user', label: 'Who', cell: ({ user, current }) => `${user}${current ? ' (here)' : ''}` },
              { key: 'address', label: 'From', cell: ({ address }) => address },
              { key: 'agent', label: 'Browser', breaks: true, cell: ({ agent }) => agent },
              { key: 'seen', label: 'Last used', cell: ({ seenAt }) => <Time at={seenAt} relative /> },
              {
                key: 'end',
                label: 'Sign out',
                cell: ({ id, current }) =>
                  !current && (
                    <Button size="compact-sm" variant="default" onClick={() => end.mutate(id)}>
                      Sign out
                    </Button>
                  ),
              },
            ]}
          />
        )}
      </Loaded>
    </Stack>
  );
}
