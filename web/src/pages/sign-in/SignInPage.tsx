import { Button, PasswordInput, Stack, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { Navigate, useLocation } from 'react-router';
import { api, unwrap } from '../../api/client';
import { queryClient } from '../../api/queryClient';
import { sessionQuery, setupQuery } from '../../api/queries';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Notice } from '../../components/Notice';
import { useAction } from '../../hooks/useAction';
import { Single } from '../../layout/Single';

export default function SignInPage() {
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const session = useQuery(sessionQuery);
  const setup = useQuery(setupQuery);
  const from = (useLocation().state as { from?: string } | null)?.from ?? '/';
  const signIn = useAction({
    run: () => unwrap(api.POST('/api/session', { body: { name, password } })),
    after: (me) => queryClient.setQueryData(sessionQuery.queryKey, me),
  });
  if (session.data) return <Navigate to={from} replace />;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    signIn.mutate();
  };
  return (
    <Single title="Sign in" lead="Backups that are proven to restore.">
      <form onSubmit={submit}>
        <Stack>
          {setup.data?.needed && (
            <Notice tone="info" title="This service is new">
              <p>Open the one-time link that “strongroom serve” printed at its start. It makes the first administrator.</p>
            </Notice>
          )}
          <TextInput label="Name" autoComplete="username" required value={name} onChange={(e) => setName(e.currentTarget.value)} />
          <PasswordInput
            label="Password"
            autoComplete="current-password"
            required
            value={password}
            onChange={(e) => setPassword(e.currentTarget.value)}
          />
          {signIn.error && <ErrorNotice error={signIn.error} />}
          <Button type="submit" loading={signIn.isPending}>
            Sign in
          </Button>
        </Stack>
      </form>
    </Single>
  );
}
