import { Button, Group, Stack, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, unwrap } from '../../api/client';
import { settingsQuery } from '../../api/queries';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Loaded } from '../../components/Loaded';
import { Table } from '../../components/Table';
import { useAction } from '../../hooks/useAction';

/** Every value and where it came from. Secrets are not shown. */
export function Configuration() {
  const query = useQuery(settingsQuery);
  const [search, setSearch] = useState('');
  const reload = useAction({ run: () => unwrap(api.POST('/api/settings/reload')), done: () => 'The configuration was read again' });
  return (
    <Stack>
      <Group justify="space-between" align="flex-end">
        <TextInput label="Search" value={search} onChange={(event) => setSearch(event.currentTarget.value)} />
        <Button variant="default" loading={reload.isPending} onClick={() => reload.mutate()}>
          Read the configuration again
        </Button>
      </Group>
      {reload.error && <ErrorNotice error={reload.error} />}
      <Loaded query={query} what="the settings">
        {({ settings }) => (
          <Table
            label="Settings"
            rows={settings.filter(({ key, value }) => `${key} ${value}`.toLowerCase().includes(search.toLowerCase()))}
            rowKey={(setting) => setting.key}
            columns={[
              { key: 'key', label: 'Setting', breaks: true, cell: ({ key }) => <code>{key}</code> },
              { key: 'value', label: 'Value', breaks: true, cell: ({ value }) => value },
              { key: 'origin', label: 'From', breaks: true, cell: ({ origin }) => origin },
            ]}
          />
        )}
      </Loaded>
    </Stack>
  );
}
