import type { CleanupLine } from '../../api/types';
import { when } from '../../lib/format';
import { TIERS } from '../../lib/words';
import classes from './TimeLine.module.css';

const WIDTH = 1000;
const EDGE = 12;

/** Backups from old to new, one line a tier: full dots stay, hollow ones go. The table below says the same in words. */
export function TimeLine({ lines }: { lines: CleanupLine[] }) {
  const times = lines.map(({ createdAt }) => new Date(createdAt).getTime());
  const [oldest, newest] = [Math.min(...times), Math.max(...times)];
  const place = (iso: string) => EDGE + ((new Date(iso).getTime() - oldest) / Math.max(1, newest - oldest)) * (WIDTH - 2 * EDGE);
  const tiers = Object.entries(TIERS).filter(([tier]) => lines.some(({ type }) => type === tier));
  return (
    <div className={classes.lines} aria-hidden="true">
      {tiers.map(([tier, label]) => (
        <div key={tier} className={classes.line}>
          <span>{label}</span>
          <svg viewBox={`0 0 ${WIDTH} 24`}>
            <line x1="0" x2={WIDTH} y1="12" y2="12" />
            {lines
              .filter(({ type }) => type === tier)
              .map(({ id, createdAt, keep, reason }) => (
                <circle key={id} cx={place(createdAt)} cy="12" r="7" data-keep={keep}>
                  <title>{`${when(createdAt)}: ${reason}`}</title>
                </circle>
              ))}
          </svg>
        </div>
      ))}
      <div className={classes.legend}>
        <span>{when(new Date(oldest).toISOString())}</span>
        <span>full: stays, hollow: goes</span>
        <span>{when(new Date(newest).toISOString())}</span>
      </div>
    </div>
  );
}
