import { Button, Group, Progress, Stack, Text } from '@mantine/core';
import { useMutation } from '@tanstack/react-query';
import { api, unwrap } from '../api/client';
import { useJob } from '../hooks/useJob';
import { useSession } from '../hooks/useSession';
import { bytes, capital, plural } from '../lib/format';
import { JOB_KINDS } from '../lib/words';
import { ErrorNotice } from './ErrorNotice';
import { Loading } from './Loading';
import { Notice } from './Notice';

/** How far a job is, live, until it is over. Shows nothing after that: the page knows what came of it. */
export function JobProgress({ id }: { id: string }) {
  const query = useJob(id);
  const { isAdmin } = useSession();
  const cancel = useMutation({
    mutationFn: () => unwrap(api.POST('/api/jobs/{id}/cancel', { params: { path: { id } } })),
  });
  const job = query.data;
  if (!job) return query.isError ? <ErrorNotice error={query.error} /> : <Loading what="the job" lines={2} />;
  const progress = job.progress;
  const waiting = job.state === 'queued';
  if (job.state !== 'running' && !waiting) return null;
  const phase = waiting ? 'Waiting for its turn' : capital(progress?.phase || 'starting');
  const done = progress && [
    progress.bytes > 0 && `${bytes(progress.bytes)}${progress.bytesExpected ? ` of ${bytes(progress.bytesExpected)}` : ''}`,
    progress.entries > 0 && plural(progress.entries, 'entry', 'entries'),
  ];
  return (
    <Stack gap="xs" role="group" aria-label={`${JOB_KINDS[job.kind]} under way`}>
      <Group justify="space-between" gap="xs">
        <Text fw={600} role="status">
          {progress?.cancelling ? 'Stopping at the next safe point' : phase}
        </Text>
        <Text size="sm" c="dimmed" className="numbers">
          {done && done.filter(Boolean).join(', ')}
        </Text>
      </Group>
      <Progress
        value={progress?.percent ?? 100}
        animated
        striped={progress?.percent == null}
        size="lg"
        aria-label={phase}
      />
      {progress?.warnings.map((warning) => <Notice key={warning} tone="warn" title={warning} />)}
      {cancel.error && <ErrorNotice error={cancel.error} />}
      {isAdmin && !progress?.cancelling && (
        <Group justify="flex-end">
          <Button size="xs" variant="default" loading={cancel.isPending} onClick={() => cancel.mutate()}>
            Cancel
          </Button>
        </Group>
      )}
    </Stack>
  );
}
