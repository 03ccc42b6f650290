import { Anchor, Stack, Text } from '@mantine/core';
import { Link } from 'react-router';
import { Facts } from '../../components/Facts';
import { Notice } from '../../components/Notice';
import { Panel } from '../../components/Panel';
import { Time, TimeInBoth } from '../../components/Time';
import { TrustSteps } from '../../components/TrustSteps';
import { bytes, duration, plural } from '../../lib/format';
import { useSession } from '../../hooks/useSession';
import type { PlanSummary } from './plans';

/** A plan's newest good backup, how far it is proven, and what comes next. */
export function PlanCard({ plan }: { plan: PlanSummary }) {
  const { isAdmin } = useSession();
  return (
    <Panel title={`Plan ${plan.name}`}>
      <Stack gap="lg">
        {plan.lastSuccess ? (
          <TrustSteps trust={plan.trust} />
        ) : (
          <Notice tone="bad" title={plan.count > 0 ? 'This plan has no good backup' : 'This plan has no backup yet'}>
            {isAdmin && (
              <Anchor component={Link} to={`/backups?create=${encodeURIComponent(plan.name)}`}>
                Back up {plan.name} now
              </Anchor>
            )}
          </Notice>
        )}
        {!plan.configured && <Text size="sm">Not in the configuration any more: nothing new is made for this plan.</Text>}
        <Facts
          facts={[
            ['Newest good backup', plan.lastSuccess ? <Time at={plan.lastSuccess} relative /> : 'None'],
            ['Next run', plan.configured && (plan.nextRun ? <TimeInBoth at={plan.nextRun} /> : 'None')],
            ['Newest proven backup', plan.newestProven ? <Time at={plan.newestProven} relative /> : 'None'],
            ['Last failure', plan.lastFailure ? <Time at={plan.lastFailure} relative /> : 'None'],
            ['Size', plan.lastBytes == null ? null : bytes(plan.lastBytes)],
            ['Took', plan.lastDurationMs == null ? null : duration(plan.lastDurationMs)],
            ['On record', plan.count > 0 ? `${plural(plan.count, 'run')}, ${bytes(plan.bytes)}` : 'Nothing'],
          ]}
        />
      </Stack>
    </Panel>
  );
}
