import { useQuery } from '@tanstack/react-query';
import { Navigate, useLocation } from 'react-router';
import { sessionQuery } from '../api/queries';
import { ErrorNotice } from '../components/ErrorNotice';
import { Loading } from '../components/Loading';
import { Frame } from './Frame';

/** Everything behind it needs somebody who is signed in. */
export function Gate() {
  const query = useQuery(sessionQuery);
  const { pathname, search } = useLocation();
  if (query.data) return <Frame me={query.data} />;
  if (query.data === null) return <Navigate to="/sign-in" replace state={{ from: pathname + search }} />;
  if (query.isError) return <ErrorNotice error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading what="the page" />;
}
