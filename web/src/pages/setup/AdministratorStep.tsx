import { Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useState, type FormEvent } from 'react';
import { useLocation } from 'react-router';
import { api, unwrap } from '../../api/client';
import { queryClient } from '../../api/queryClient';
import { sessionQuery } from '../../api/queries';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Notice } from '../../components/Notice';
import { useAction } from '../../hooks/useAction';

export function AdministratorStep() {
  const token = new URLSearchParams(useLocation().hash.slice(1)).get('token') ?? '';
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const [again, setAgain] = useState('');
  const create = useAction({
    run: () => unwrap(api.POST('/api/setup', { body: { token, name, password } })),
    after: (me) => queryClient.setQueryData(sessionQuery.queryKey, me),
  });
  if (!token) {
    return (
      <Notice tone="warn" title="The link is not complete">
        <p>Open the whole link that “strongroom serve” printed at its start. Starting it anew prints another one.</p>
      </Notice>
    );
  }
  const differs = again !== '' && again !== password;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (!differs) create.mutate();
  };
  return (
    <form onSubmit={submit}>
      <Stack>
        <TextInput label="Your name" autoComplete="username" required value={name} onChange={(e) => setName(e.currentTarget.value)} />
        <PasswordInput
          label="Password"
          description="At least 10 characters"
          autoComplete="new-password"
          required
          minLength={10}
          value={password}
          onChange={(e) => setPassword(e.currentTarget.value)}
        />
        <PasswordInput
          label="Password again"
          autoComplete="new-password"
          required
          value={again}
          error={differs && 'The two passwords differ'}
          onChange={(e) => setAgain(e.currentTarget.value)}
        />
        {create.error && <ErrorNotice error={create.error} />}
        <Button type="submit" loading={create.isPending}>
          Make the administrator
        </Button>
      </Stack>
    </form>
  );
}
