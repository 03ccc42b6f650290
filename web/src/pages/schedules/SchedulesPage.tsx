import { SimpleGrid } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { schedulesQuery } from '../../api/queries';
import type { ScheduleView } from '../../api/types';
import { Loaded } from '../../components/Loaded';
import { PageHeader } from '../../components/PageHeader';
import { ScheduleStrip } from '../../components/ScheduleStrip';
import { browserZone } from '../../lib/format';
import { EditDialog } from './EditDialog';
import { OffSchedules } from './OffSchedules';
import { ScheduleCard } from './ScheduleCard';

export default function SchedulesPage() {
  const query = useQuery(schedulesQuery);
  const [edited, setEdited] = useState<ScheduleView>();
  return (
    <Loaded query={query} what="the schedules">
      {({ schedules, timezone }) => (
        <>
          <PageHeader title="Schedules" lead={leadOf(timezone)} />
          <ScheduleStrip />
          <SimpleGrid cols={{ base: 1, md: 2, xl: 3 }} spacing="lg">
            {schedules.filter(({ expression }) => expression).map((schedule) => (
              <ScheduleCard key={`${schedule.plan} ${schedule.task}`} schedule={schedule} zone={timezone} onEdit={() => setEdited(schedule)} />
            ))}
          </SimpleGrid>
          <OffSchedules schedules={schedules.filter(({ expression }) => !expression)} onEdit={setEdited} />
          {edited && <EditDialog schedule={edited} zone={timezone} onClose={() => setEdited(undefined)} />}
        </>
      )}
    </Loaded>
  );
}

function leadOf(zone: string): string {
  if (zone === browserZone) return `Expressions and times are in ${zone}, which is your zone too.`;
  return `Expressions are read in ${zone}. Times are shown in your zone, ${browserZone}, and at the right in that of the plans.`;
}
