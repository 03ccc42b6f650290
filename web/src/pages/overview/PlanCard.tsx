import { Stack } from '@mantine/core';
import { Facts } from '../../components/Facts';
import { Panel } from '../../components/Panel';
import { Time } from '../../components/Time';
import { TrustSteps } from '../../components/TrustSteps';
import { bytes, count, duration } from '../../lib/format';
import type { PlanSummary } from './plans';

/** A plan's newest good backup and how far it is proven. */
export function PlanCard({ plan }: { plan: PlanSummary }) {
  return (
    <Panel title={`Plan ${plan.name}`}>
      <Stack gap="lg">
        <TrustSteps trust={plan.trust} />
        <Facts
          facts={[
            ['Newest good backup', plan.lastSuccess ? <Time at={plan.lastSuccess} relative /> : 'None'],
            ['Newest proven backup', plan.newestProven ? <Time at={plan.newestProven} relative /> : 'None'],
            ['Last failure', plan.lastFailure ? <Time at={plan.lastFailure} relative /> : 'None'],
            ['Size', plan.lastBytes != null && bytes(plan.lastBytes)],
            ['Took', plan.lastDurationMs != null && duration(plan.lastDurationMs)],
            ['On record', `${count(plan.count)}, ${bytes(plan.bytes)}`],
          ].filter(([, value]) => value) as [string, string][]}
        />
      </Stack>
    </Panel>
  );
}
