import { Button, Group, Select, Stack, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { api, unwrap } from '../../api/client';
import { auditQuery, type AuditFilter } from '../../api/queries';
import { Empty } from '../../components/Empty';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Loaded } from '../../components/Loaded';
import { Notice } from '../../components/Notice';
import { Status } from '../../components/Status';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { useAction } from '../../hooks/useAction';
import { plural, shortHash } from '../../lib/format';
import type { Tone } from '../../lib/words';

const OUTCOMES: Record<string, { label: string; tone: Tone }> = {
  success: { label: 'Done', tone: 'info' },
  failure: { label: 'Failed', tone: 'bad' },
  refused: { label: 'Refused', tone: 'warn' },
};

export function Audit() {
  const [typed, setTyped] = useState<AuditFilter>({});
  const [filter] = useDebouncedValue(typed, 300);
  const query = useInfiniteQuery(auditQuery(filter));
  const verify = useAction({ run: () => unwrap(api.GET('/api/audit/verify')) });
  const set = (part: AuditFilter) => setTyped({ ...typed, ...part });
  return (
    <Stack>
      <Group align="flex-end" gap="sm">
        <TextInput label="Who" placeholder="A name" onChange={(event) => set({ actor: event.currentTarget.value || undefined })} />
        <TextInput label="What" placeholder="backup, or backup.delete" onChange={(event) => set({ action: event.currentTarget.value || undefined })} />
        <TextInput label="To what" placeholder="An id" onChange={(event) => set({ subject: event.currentTarget.value || undefined })} />
        <Select
          label="Outcome"
          placeholder="All"
          clearable
          data={Object.entries(OUTCOMES).map(([value, { label }]) => ({ value, label }))}
          onChange={(outcome) => set({ outcome: (outcome as AuditFilter['outcome'] | null) ?? undefined })}
        />
        <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
          Verify the log
        </Button>
      </Group>
      {verify.error && <ErrorNotice error={verify.error} />}
      {verify.data && (
        <Notice
          tone={verify.data.good ? 'proven' : 'bad'}
          title={verify.data.good ? `The log is whole: ${plural(verify.data.entries, 'entry', 'entries')} checked` : 'The log was changed'}
          live
        >
          {verify.data.problems.map((problem) => (
            <p key={problem}>{problem}</p>
          ))}
        </Notice>
      )}
      <Loaded query={query} what="the audit log">
        {({ pages }) => {
          const entries = pages.flatMap((page) => page.entries);
          if (entries.length === 0) return <Empty title="No entry fits" />;
          return (
            <>
              <Table
                label="Audit log"
                rows={entries}
                rowKey={(entry) => String(entry.seq)}
                columns={[
                  { key: 'seq', label: 'No.', cell: ({ seq }) => seq },
                  { key: 'at', label: 'When', cell: ({ at }) => <Time at={at} /> },
                  { key: 'actor', label: 'Who', breaks: true, cell: ({ actor, origin }) => `${actor} (${origin})` },
                  { key: 'action', label: 'What', cell: ({ action }) => action },
                  { key: 'subject', label: 'To what', breaks: true, cell: ({ subject }) => subject },
                  { key: 'outcome', label: 'Outcome', cell: ({ outcome }) => <Status {...OUTCOMES[outcome]!} /> },
                  { key: 'hash', label: 'Hash', breaks: true, cell: ({ hash }) => <code>{shortHash(hash)}</code> },
                ]}
              />
              {query.hasNextPage && (
                <Button variant="default" loading={query.isFetchingNextPage} onClick={() => void query.fetchNextPage()}>
                  Show older entries
                </Button>
              )}
            </>
          );
        }}
      </Loaded>
    </Stack>
  );
}
