import { useSyncExternalStore } from 'react';

const EVERY_MS = 30_000;
let now = Date.now();

function subscribe(changed: () => void): () => void {
  const timer = setInterval(() => {
    now = Date.now();
    changed();
  }, EVERY_MS);
  return () => clearInterval(timer);
}

/** The time, twice a minute: for ages that grow while a page is open. */
export function useNow(): number {
  return useSyncExternalStore(subscribe, () => now);
}
