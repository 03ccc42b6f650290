import { keepPreviousData, queryOptions, infiniteQueryOptions } from '@tanstack/react-query';
import { api, unwrap } from './client';
import type { BackupSort, State, Tier } from './types';

/** How often lists look for what others did. */
const REFRESH_MS = 10_000;

export const sessionQuery = queryOptions({
  queryKey: ['session'],
  queryFn: async () => {
    try {
      return await unwrap(api.GET('/api/session'));
    } catch (error) {
      if ((error as { status?: number }).status === 401) return null;
      throw error;
    }
  },
  staleTime: 60_000,
});

export const setupQuery = queryOptions({
  queryKey: ['setup'],
  queryFn: () => unwrap(api.GET('/api/setup')),
});

export const overviewQuery = queryOptions({
  queryKey: ['overview'],
  queryFn: () => unwrap(api.GET('/api/overview')),
  refetchInterval: REFRESH_MS,
});

export const statisticsQuery = (days: number) =>
  queryOptions({
    queryKey: ['statistics', days],
    queryFn: () => unwrap(api.GET('/api/statistics', { params: { query: { days } } })),
  });

export const doctorQuery = queryOptions({
  queryKey: ['doctor'],
  queryFn: () => unwrap(api.GET('/api/doctor')),
  staleTime: 60_000,
});

export const plansQuery = queryOptions({
  queryKey: ['plans'],
  queryFn: () => unwrap(api.GET('/api/plans')),
  staleTime: 60_000,
});

export const storesQuery = queryOptions({
  queryKey: ['stores'],
  queryFn: () => unwrap(api.GET('/api/stores')),
});

export interface BackupFilter {
  tier?: Tier;
  state?: State;
  plan?: string;
  search?: string;
  restorable?: boolean;
  sort?: BackupSort;
  ascending?: boolean;
}

export const backupsQuery = (filter: BackupFilter, limit: number) =>
  infiniteQueryOptions({
    queryKey: ['backups', filter, limit],
    queryFn: ({ pageParam }) =>
      unwrap(api.GET('/api/backups', { params: { query: { ...filter, limit, next: pageParam } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    refetchInterval: REFRESH_MS,
    placeholderData: keepPreviousData,
  });

export const backupQuery = (id: string) =>
  queryOptions({
    queryKey: ['backup', id],
    queryFn: () => unwrap(api.GET('/api/backup/{id}', { params: { path: { id } } })),
    refetchInterval: REFRESH_MS,
  });

export const manifestQuery = (id: string) =>
  queryOptions({
    queryKey: ['manifest', id],
    queryFn: () => unwrap(api.GET('/api/backup/{id}/manifest', { params: { path: { id } } })),
    staleTime: Infinity,
  });

export const FILES_PER_PAGE = 200;

export const filesQuery = (id: string, path: string, search: string) =>
  infiniteQueryOptions({
    queryKey: ['files', id, path, search],
    queryFn: ({ pageParam }) => {
      const query = { path, search: search || undefined, limit: FILES_PER_PAGE, offset: pageParam };
      return unwrap(api.GET('/api/backup/{id}/files', { params: { path: { id }, query } }));
    },
    initialPageParam: 0,
    getNextPageParam: (page, pages) => {
      const shown = pages.reduce((sum, one) => sum + one.files.length, 0);
      return shown < page.total ? shown : undefined;
    },
    staleTime: Infinity,
    placeholderData: keepPreviousData,
  });

export const restoresQuery = queryOptions({
  queryKey: ['restores'],
  queryFn: () => unwrap(api.GET('/api/restores', { params: { query: { limit: 50 } } })),
  refetchInterval: REFRESH_MS,
});

export const restorePlanQuery = (id: string, components: string[], targets: Record<string, string>) =>
  queryOptions({
    queryKey: ['restore-plan', id, components, targets],
    queryFn: () =>
      unwrap(api.POST('/api/backup/{id}/restore-plan', { params: { path: { id } }, body: { components, targets } })),
    gcTime: 0,
    retry: false,
  });

export const jobQuery = (id: string) =>
  queryOptions({
    queryKey: ['job', id],
    queryFn: () => unwrap(api.GET('/api/jobs/{id}', { params: { path: { id } } })),
  });

export const JOBS_PER_PAGE = 50;

export const jobsQuery = (page: number) =>
  queryOptions({
    queryKey: ['jobs', page],
    queryFn: () => {
      const query = { limit: JOBS_PER_PAGE, offset: page * JOBS_PER_PAGE };
      return unwrap(api.GET('/api/jobs', { params: { query } }));
    },
    refetchInterval: REFRESH_MS,
    placeholderData: keepPreviousData,
  });

export const runningJobsQuery = queryOptions({
  queryKey: ['jobs', 'running'],
  queryFn: () => unwrap(api.GET('/api/jobs', { params: { query: { state: 'running', limit: 10 } } })),
  refetchInterval: REFRESH_MS,
});

export interface AuditFilter {
  actor?: string;
  action?: string;
  subject?: string;
  outcome?: 'success' | 'failure' | 'refused';
}

export const auditQuery = (filter: AuditFilter) =>
  infiniteQueryOptions({
    queryKey: ['audit', filter],
    queryFn: ({ pageParam }) =>
      unwrap(api.GET('/api/audit', { params: { query: { ...filter, limit: 50, next: pageParam } } })),
    initialPageParam: undefined as number | undefined,
    getNextPageParam: (page) => page.next ?? undefined,
    placeholderData: keepPreviousData,
  });

export const schedulesQuery = queryOptions({
  queryKey: ['schedules'],
  queryFn: () => unwrap(api.GET('/api/schedules')),
  refetchInterval: REFRESH_MS,
});

export const previewQuery = (expression: string, from: string | undefined) =>
  queryOptions({
    queryKey: ['preview', expression, from],
    queryFn: () => unwrap(api.GET('/api/schedules/preview', { params: { query: { expression, from, count: 10 } } })),
    retry: false,
    placeholderData: keepPreviousData,
  });

export const cleanupQuery = queryOptions({
  queryKey: ['cleanup'],
  queryFn: () => unwrap(api.GET('/api/backup/cleanup')),
});

export const settingsQuery = queryOptions({
  queryKey: ['settings'],
  queryFn: () => unwrap(api.GET('/api/settings')),
});

export const channelsQuery = queryOptions({
  queryKey: ['channels'],
  queryFn: () => unwrap(api.GET('/api/notifications')),
});

export const usersQuery = queryOptions({
  queryKey: ['users'],
  queryFn: () => unwrap(api.GET('/api/users')),
});

export const tokensQuery = queryOptions({
  queryKey: ['tokens'],
  queryFn: () => unwrap(api.GET('/api/tokens')),
});

export const sessionsQuery = queryOptions({
  queryKey: ['sessions'],
  queryFn: () => unwrap(api.GET('/api/sessions')),
});
