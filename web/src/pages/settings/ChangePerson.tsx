import { Button, Group, Modal, PasswordInput, Select, Stack, Text } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { api, unwrap, type Schemas } from '../../api/client';
import type { User } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { useAction } from '../../hooks/useAction';
import { ROLES } from '../../lib/words';

/** Another role or another password for somebody. */
export function ChangePerson({ user, onClose }: { user: User; onClose: () => void }) {
  const [role, setRole] = useState<Schemas['RoleName']>(user.role);
  const [password, setPassword] = useState('');
  const change = useAction({
    run: () => {
      const body = { role: role === user.role ? undefined : role, password: password || undefined };
      return unwrap(api.PATCH('/api/users/{name}', { params: { path: { name: user.name } }, body }));
    },
    done: () => `${user.name} is changed`,
    after: onClose,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    change.mutate();
  };
  return (
    <Modal opened onClose={onClose} title={`Change ${user.name}`} centered closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={submit}>
        <Stack>
          <Text size="sm">Either change signs {user.name} out everywhere; they sign in again.</Text>
          <Select label="New role" data={ROLES} value={role} allowDeselect={false} onChange={(value) => setRole(value as Schemas['RoleName'])} />
          <PasswordInput
            label="New password"
            description="At least 10 characters; left empty, the old one stays."
            minLength={10}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.currentTarget.value)}
          />
          {change.error && <ErrorNotice error={change.error} />}
          <Group justify="flex-end">
            <Button type="submit" loading={change.isPending} disabled={role === user.role && password === ''}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
