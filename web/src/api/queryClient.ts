import { QueryCache, QueryClient } from '@tanstack/react-query';
import { ApiError } from './error';
import { sessionQuery } from './queries';

/** Trying again helps when nothing answered or the service had a fault, never when it refused. */
function mayHelp(error: Error): boolean {
  return error instanceof ApiError && (error.code === 'offline' || error.status >= 500);
}

export const queryClient = new QueryClient({
  queryCache: new QueryCache({
    onError: (error) => {
      if (error instanceof ApiError && error.status === 401) queryClient.setQueryData(sessionQuery.queryKey, null);
    },
  }),
  defaultOptions: {
    queries: { staleTime: 5000, networkMode: 'always', retry: (failures, error) => failures < 2 && mayHelp(error) },
    mutations: { networkMode: 'always' },
  },
});
