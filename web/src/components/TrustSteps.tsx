import { Tooltip } from '@mantine/core';
import type { Trust } from '../api/types';
import { useNow } from '../hooks/useNow';
import { ago, exact } from '../lib/format';
import { TRUST_STEPS } from '../lib/words';
import { Icon } from './Icon';
import classes from './TrustSteps.module.css';

/** How far a backup is proven: four steps, each with its age. Only the last is green. */
export function TrustSteps({ trust }: { trust: Trust }) {
  const now = useNow();
  return (
    <ol className={classes.steps} aria-label="Steps of trust">
      {TRUST_STEPS.map(({ key, label, meaning }) => {
        const at = trust[key];
        return (
          <li key={key} className={classes.step} data-done={Boolean(at)} data-last={key === 'restored'}>
            <Tooltip label={at ? `${meaning}, ${exact(at)}` : `Not yet: ${meaning.toLowerCase()}`} multiline maw={300}>
              <div>
                <span className={classes.mark}>{at && <Icon name="check" size={12} />}</span>
                <span className={classes.label}>{label}</span>
                <span className={classes.age}>{at ? ago(at, now) : 'not yet'}</span>
              </div>
            </Tooltip>
          </li>
        );
      })}
    </ol>
  );
}
