import { Pagination, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { JOBS_PER_PAGE, jobsQuery } from '../../api/queries';
import { Empty } from '../../components/Empty';
import { JobProgress } from '../../components/JobProgress';
import { Loaded } from '../../components/Loaded';
import { Status } from '../../components/Status';
import { Table } from '../../components/Table';
import { Time } from '../../components/Time';
import { isOver } from '../../hooks/useJob';
import { duration } from '../../lib/format';
import { JOB_KINDS, JOB_STATES } from '../../lib/words';

export function Jobs() {
  const [page, setPage] = useState(0);
  const query = useQuery(jobsQuery(page));
  return (
    <Loaded query={query} what="the jobs">
      {({ jobs, total }) =>
        jobs.length === 0 ? (
          <Empty title="Nothing ran yet" />
        ) : (
          <Stack>
            {jobs.filter((job) => !isOver(job)).map((job) => <JobProgress key={job.id} id={job.id} />)}
            <Table
              label="Jobs"
              rows={jobs}
              rowKey={(job) => job.id}
              columns={[
                { key: 'at', label: 'Asked for', cell: ({ createdAt }) => <Time at={createdAt} /> },
                { key: 'kind', label: 'What', cell: ({ kind }) => JOB_KINDS[kind] },
                { key: 'state', label: 'State', cell: ({ state }) => <Status {...JOB_STATES[state]} /> },
                { key: 'actor', label: 'By', cell: ({ actor }) => actor },
                {
                  key: 'took',
                  label: 'Took',
                  numeric: true,
                  cell: ({ startedAt, finishedAt }) =>
                    startedAt && finishedAt ? duration(new Date(finishedAt).getTime() - new Date(startedAt).getTime()) : '–',
                },
                { key: 'note', label: 'Note', breaks: true, cell: ({ error }) => error && `${error.message}. ${error.hint}` },
              ]}
            />
            {total > JOBS_PER_PAGE && (
              <Pagination total={Math.ceil(total / JOBS_PER_PAGE)} value={page + 1} onChange={(value) => setPage(value - 1)} />
            )}
          </Stack>
        )
      }
    </Loaded>
  );
}
