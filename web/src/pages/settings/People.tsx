import { Button, Group, PasswordInput, Select, Stack, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { api, unwrap, type Schemas } from '../../api/client';
import { usersQuery } from '../../api/queries';
import { ConfirmDialog } from '../../components/ConfirmDialog';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Loaded } from '../../components/Loaded';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import type { User } from '../../api/types';
import { useAction } from '../../hooks/useAction';
import { ROLES } from '../../lib/words';
import { ChangePerson } from './ChangePerson';

export function People() {
  const query = useQuery(usersQuery);
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [role, setRole] = useState<Schemas['RoleName']>('VIEWER');
  const [leaving, setLeaving] = useState<string>();
  const [changing, setChanging] = useState<User>();
  const add = useAction({
    run: () => unwrap(api.POST('/api/users', { body: { name, password, role } })),
    done: (user) => `${user.name} may sign in now`,
    after: () => {
      setName('');
      setPassword('');
    },
  });
  const remove = useAction({
    run: (who: string) => unwrap(api.DELETE('/api/users/{name}', { params: { path: { name: who } } })),
    after: () => setLeaving(undefined),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    add.mutate();
  };
  return (
    <Stack>
      <Loaded query={query} what="the people">
        {({ users }) => (
          <Table
            label="People"
            rows={users}
            rowKey={(user) => user.name}
            columns={[
              { key: 'name', label: 'Name', cell: (user) => user.name },
              { key: 'role', label: 'Role', cell: (user) => (user.role === 'ADMIN' ? 'Administrator' : 'Viewer') },
              { key: 'seen', label: 'Signed in', cell: ({ signedInAt }) => (signedInAt ? <Time at={signedInAt} relative /> : 'Never') },
              {
                key: 'change',
                label: 'Change',
                cell: (user) => (
                  <Group gap="xs">
                    <Button size="compact-sm" variant="default" aria-label={`Change ${user.name}`} onClick={() => setChanging(user)}>
                      Change
                    </Button>
                    <Button size="compact-sm" variant="default" aria-label={`Remove ${user.name}`} onClick={() => setLeaving(user.name)}>
                      Remove
                    </Button>
                  </Group>
                ),
              },
            ]}
          />
        )}
      </Loaded>
      <form onSubmit={submit}>
        <Group align="flex-end">
          <TextInput label="Name" required autoComplete="off" value={name} onChange={(event) => setName(event.currentTarget.value)} />
          <PasswordInput
            label="Password, at least 10 characters"
            required
            minLength={10}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          <Select label="Role" data={ROLES} value={role} allowDeselect={false} onChange={(value) => setRole(value as Schemas['RoleName'])} />
          <Button type="submit" loading={add.isPending}>
            Add
          </Button>
        </Group>
      </form>
      {add.error && <ErrorNotice error={add.error} />}
      {changing && <ChangePerson user={changing} onClose={() => setChanging(undefined)} />}
      {leaving && (
        <ConfirmDialog
          title={`Remove ${leaving}?`}
          action="Remove"
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate(leaving)}
          onClose={() => setLeaving(undefined)}
        >
          <Text>{leaving} is signed out everywhere at once and cannot sign in again. What they did stays in the audit log.</Text>
        </ConfirmDialog>
      )}
    </Stack>
  );
}
