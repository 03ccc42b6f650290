import type { Trust } from '../api/types';
import { TRUST_STEPS } from '../lib/words';
import { Status } from './Status';

/** The furthest step of trust in one word, for tables. */
export function TrustBadge({ trust }: { trust: Trust }) {
  const reached = TRUST_STEPS.findLast(({ key }) => trust[key]);
  if (!reached) return <Status tone="idle" label="Nothing proven" />;
  return <Status tone={reached.key === 'restored' ? 'proven' : 'info'} label={reached.label} />;
}
