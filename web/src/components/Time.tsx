import { Tooltip } from '@mantine/core';
import { useNow } from '../hooks/useNow';
import { ago, exact, when } from '../lib/format';

interface Props {
  /** The instant, ISO 8601. */
  at: string;
  /** Show how long ago instead of the date. */
  relative?: boolean;
}

/** A time in the browser's zone; pointing at it tells it in full. */
export function Time({ at, relative = false }: Props) {
  const now = useNow();
  return (
    <Tooltip label={exact(at)} openDelay={300}>
      <time dateTime={at}>{relative ? ago(at, now) : when(at)}</time>
    </Tooltip>
  );
}
