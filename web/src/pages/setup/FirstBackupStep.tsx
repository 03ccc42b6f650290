import { Button, Stack } from '@mantine/core';
import { useState } from 'react';
import { api, unwrap } from '../../api/client';
import { ErrorNotice } from '../../components/ErrorNotice';
import { JobProgress } from '../../components/JobProgress';
import { JobResult } from '../../components/JobResult';
import { useAction } from '../../hooks/useAction';

export function FirstBackupStep({ onDone }: { onDone: () => void }) {
  const [job, setJob] = useState<string>();
  const create = useAction({
    run: () => unwrap(api.POST('/api/backup/create', { body: { description: 'First backup' } })),
    after: ({ id }) => setJob(id),
  });
  return (
    <Stack>
      {!job && (
        <Button loading={create.isPending} onClick={() => create.mutate()}>
          Make the first backup
        </Button>
      )}
      {create.error && <ErrorNotice error={create.error} />}
      {job && <JobProgress id={job} />}
      {job && <JobResult id={job} />}
      <Button variant={job ? 'filled' : 'default'} onClick={onDone}>
        {job ? 'Go to the overview' : 'Later'}
      </Button>
    </Stack>
  );
}
