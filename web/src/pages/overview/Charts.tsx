import { SimpleGrid, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { statisticsQuery } from '../../api/queries';
import { BarChart } from '../../charts/BarChart';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { bytes, duration, plural } from '../../lib/format';

const DAYS = 90;

/** Growth and durations over the last days, and when the disk will be full. */
export function Charts() {
  const query = useQuery(statisticsQuery(DAYS));
  return (
    <Loaded query={query} what="the charts">
      {({ days, growthBytesPerDay, fullInDays }) => (
        <SimpleGrid cols={{ base: 1, md: 2 }} spacing="lg">
          <Panel title="Storage used">
            <BarChart label="Storage used by day" bars={days.map((day) => ({ date: day.date, value: day.totalBytes }))} format={bytes} />
            <Text size="sm" c="dimmed">
              {growthText(days.length, growthBytesPerDay)}
              {fullInDays != null && forecastText(fullInDays)}
            </Text>
          </Panel>
          <Panel title="Longest run of the day">
            <BarChart label="Longest run by day" bars={days.map((day) => ({ date: day.date, value: day.durationMsMax }))} format={duration} />
            <Text size="sm" c="dimmed">
              Over the last {DAYS} days.
            </Text>
          </Panel>
        </SimpleGrid>
      )}
    </Loaded>
  );
}

/** One day says nothing about growth. */
function growthText(days: number, bytesPerDay: number): string {
  if (days < 2) return 'Growth and forecast show after a second day with backups. ';
  return bytesPerDay > 0 ? `Grows by ${bytes(bytesPerDay)} a day. ` : 'Does not grow. ';
}

const FAR_DAYS = 3650;

function forecastText(days: number): string {
  if (days > FAR_DAYS) return 'At this pace the disk is not full for more than ten years.';
  return `At this pace the disk is full in ${plural(days, 'day')}.`;
}
