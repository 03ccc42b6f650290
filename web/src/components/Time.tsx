import { Tooltip } from '@mantine/core';
import { createContext, useContext } from 'react';
import { useNow } from '../hooks/useNow';
import { ago, browserZone, exact, when, whenIn } from '../lib/format';

/** The zone of the plans' schedules, where it is known. */
export const PlanZone = createContext<string | undefined>(undefined);

/** The same instant on the plans' clock; nothing where that is the browser's own. */
export function useThere(at: string): string | undefined {
  const zone = useContext(PlanZone);
  return zone && zone !== browserZone ? `${whenIn(at, zone)} in ${zone}` : undefined;
}

interface Props {
  /** The instant, ISO 8601. */
  at: string;
  /** Show how long ago instead of the date. */
  relative?: boolean;
}

/** A time in the browser's zone; pointing at it tells it in full, and in the plans' zone. */
export function Time({ at, relative = false }: Props) {
  const now = useNow();
  const there = useThere(at);
  return (
    <Tooltip label={there ? `${exact(at)}; ${there}` : exact(at)} openDelay={300} multiline maw={340}>
      <time dateTime={at}>{relative ? ago(at, now) : when(at)}</time>
    </Tooltip>
  );
}

/** A time in both zones. */
export function TimeInBoth({ at }: { at: string }) {
  const there = useThere(at);
  return (
    <>
      <Time at={at} />
      {there && <small className="there">{there}</small>}
    </>
  );
}
