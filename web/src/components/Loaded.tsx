import type { UseQueryResult } from '@tanstack/react-query';
import type { ReactNode } from 'react';
import { ErrorNotice } from './ErrorNotice';
import { Loading } from './Loading';

interface Props<T> {
  query: UseQueryResult<T>;
  /** What is asked for: `the backups`. */
  what: string;
  children: (data: T) => ReactNode;
}

/** What a query brings, or that it is on its way, or why it did not come. Old data stays while newer fails. */
export function Loaded<T>({ query, what, children }: Props<T>) {
  if (query.data !== undefined) return children(query.data);
  if (query.isError) {
    return <ErrorNotice error={query.error} title={`Could not read ${what}`} onRetry={() => void query.refetch()} />;
  }
  return <Loading what={what} />;
}
