import { Button, Checkbox, Code, CopyButton, Group, NumberInput, Stack, Text, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { api, unwrap } from '../../api/client';
import { tokensQuery } from '../../api/queries';
import type { Scope } from '../../api/types';
import { ConfirmDialog } from '../../components/ConfirmDialog';
import { Empty } from '../../components/Empty';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Loaded } from '../../components/Loaded';
import { Notice } from '../../components/Notice';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useAction } from '../../hooks/useAction';

const SCOPES: Record<Scope, string> = {
  metrics: 'metrics: read figures for monitoring',
  read: 'read: look at everything but content',
  backup: 'backup: make and prove backups',
  restore: 'restore: restore and download',
  admin: 'admin: everything',
};

export function Tokens() {
  const query = useQuery(tokensQuery);
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<string[]>(['read']);
  const [days, setDays] = useState<number | string>(365);
  const [leaving, setLeaving] = useState<{ id: string; name: string }>();
  const create = useAction({
    run: () =>
      unwrap(api.POST('/api/tokens', { body: { name, scopes: scopes as Scope[], expiresInDays: days === '' ? undefined : Number(days) } })),
    after: () => setName(''),
  });
  const revoke = useAction({
    run: (id: string) => unwrap(api.DELETE('/api/tokens/{id}', { params: { path: { id } } })),
    after: () => setLeaving(undefined),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <Stack>
      <form onSubmit={submit}>
        <Stack gap="sm">
          <Group align="flex-end">
            <TextInput label="What the token is for" required value={name} onChange={(event) => setName(event.currentTarget.value)} />
            <NumberInput label="Ends after days" placeholder="Never" min={1} max={36500} value={days} onChange={setDays} hideControls />
          </Group>
          <Checkbox.Group label="What it may do" value={scopes} onChange={setScopes}>
            <Stack gap={6} mt={6}>
              {Object.entries(SCOPES).map(([value, label]) => (
                <Checkbox key={value} value={value} label={label} />
              ))}
            </Stack>
          </Checkbox.Group>
          <Button type="submit" w="fit-content" loading={create.isPending} disabled={scopes.length === 0}>
            Make a token
          </Button>
        </Stack>
      </form>
      {create.error && <ErrorNotice error={create.error} />}
      {create.data && (
        <Notice tone="warn" title="Copy the token now: it is shown this once" live>
          <Code block>{create.data.token}</Code>
          <CopyButton value={create.data.token}>
            {({ copied, copy }) => (
              <Button size="xs" variant="default" onClick={copy}>
                {copied ? 'Copied' : 'Copy'}
              </Button>
            )}
          </CopyButton>
        </Notice>
      )}
      <Loaded query={query} what="the tokens">
        {({ tokens }) =>
          tokens.length === 0 ? (
            <Empty title="There is no token yet" />
          ) : (
            <Table
              label="Tokens"
              rows={tokens}
              rowKey={(token) => token.id}
              columns={[
                { key: 'name', label: 'For', cell: (token) => token.name },
                { key: 'scopes', label: 'May', cell: (token) => token.scopes.join(', ') },
                { key: 'by', label: 'Made by', cell: ({ createdBy }) => createdBy },
                { key: 'used', label: 'Last used', cell: ({ usedAt }) => (usedAt ? <Time at={usedAt} relative /> : 'Never') },
                { key: 'ends', label: 'Ends', cell: ({ expiresAt }) => (expiresAt ? <Time at={expiresAt} /> : 'Never') },
                {
                  key: 'revoke',
                  label: 'Revoke',
                  cell: (token) => (
                    <Button size="compact-sm" variant="default" aria-label={`Revoke ${token.name}`} onClick={() => setLeaving(token)}>
                      Revoke
                    </Button>
                  ),
                },
              ]}
            />
          )
        }
      </Loaded>
      {leaving && (
        <ConfirmDialog
          title={`Revoke ${leaving.name}?`}
          action="Revoke"
          busy={revoke.isPending}
          error={revoke.error}
          onConfirm={() => revoke.mutate(leaving.id)}
          onClose={() => setLeaving(undefined)}
        >
          <Text>Whatever uses this token is refused from now on. This cannot be undone; a new token can be made.</Text>
        </ConfirmDialog>
      )}
    </Stack>
  );
}
