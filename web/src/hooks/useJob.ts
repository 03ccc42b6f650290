import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useEffect } from 'react';
import { jobQuery } from '../api/queries';
import type { Job } from '../api/types';

/** Without events, look this often. */
const POLL_MS = 2000;

/** What no job changes. */
const KEPT = ['job', 'files', 'manifest', 'restore-plan'];

export function isOver(job: Job): boolean {
  return job.state !== 'queued' && job.state !== 'running';
}

/** A job, live: by server-sent events, and by asking where those do not get through. */
export function useJob(id: string) {
  const client = useQueryClient();
  const query = useQuery({
    ...jobQuery(id),
    refetchInterval: ({ state }) => (state.data && isOver(state.data) ? false : POLL_MS),
  });
  const over = query.data ? isOver(query.data) : false;

  useEffect(() => {
    if (over) {
      // What a job made or removed shows in many places.
      void client.invalidateQueries({ predicate: ({ queryKey }) => !KEPT.includes(queryKey[0] as string) });
      return undefined;
    }
    const events = new EventSource(`/api/jobs/${id}/events`);
    const take = (event: MessageEvent<string>) => {
      client.setQueryData(jobQuery(id).queryKey, JSON.parse(event.data) as Job);
    };
    events.addEventListener('progress', take);
    events.addEventListener('done', take);
    return () => events.close();
  }, [client, id, over]);

  return query;
}
