import { Button, SimpleGrid } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { Link } from 'react-router';
import { overviewQuery, plansQuery, schedulesQuery } from '../../api/queries';
import type { Status } from '../../api/types';
import { Icon } from '../../components/Icon';
import { Loaded } from '../../components/Loaded';
import { PageHeader } from '../../components/PageHeader';
import { useSession } from '../../hooks/useSession';
import { Charts } from './Charts';
import { Doctor } from './Doctor';
import { Figures } from './Figures';
import { PlanCard } from './PlanCard';
import { byPlan } from './plans';
import { Verdict } from './Verdict';

export default function OverviewPage() {
  const { isAdmin } = useSession();
  const query = useQuery(overviewQuery);
  return (
    <>
      <PageHeader title="Overview">
        {isAdmin && (
          <>
            <Button component={Link} to="/backups?create" leftSection={<Icon name="plus" />}>
              Back up now
            </Button>
            <Button component={Link} to="/restore" variant="default" leftSection={<Icon name="restore" />}>
              Restore
            </Button>
          </>
        )}
      </PageHeader>
      <Loaded query={query} what="how everything stands">
        {(status) => <Standing status={status} />}
      </Loaded>
      <Charts />
      <Doctor />
    </>
  );
}

function Standing({ status }: { status: Status }) {
  const configured = useQuery(plansQuery);
  const schedules = useQuery(schedulesQuery).data?.schedules;
  return (
    <Loaded query={configured} what="the plans">
      {(configuration) => {
        const plans = byPlan(status.plans, configuration.plans.map(({ name }) => name), schedules ?? []);
        return (
          <>
            <Verdict status={status} plans={plans} />
            <Figures status={status} />
            <SimpleGrid cols={{ base: 1, lg: Math.min(2, plans.length) }} spacing="lg">
              {plans.map((plan) => (
                <PlanCard key={plan.name} plan={plan} />
              ))}
            </SimpleGrid>
          </>
        );
      }}
    </Loaded>
  );
}
