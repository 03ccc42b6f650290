import { useQuery } from '@tanstack/react-query';
import { sessionQuery } from '../api/queries';

/** Who is signed in, and whether they may change things. */
export function useSession() {
  const { data: me } = useQuery(sessionQuery);
  return { name: me?.name ?? '', isAdmin: me?.scopes.includes('admin') ?? false };
}
