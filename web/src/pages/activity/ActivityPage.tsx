import { Tabs } from '@mantine/core';
import { useSearchParams } from 'react-router';
import { PageHeader } from '../../components/PageHeader';
import { Panel } from '../../components/Panel';
import { Audit } from './Audit';
import { Jobs } from './Jobs';

export default function ActivityPage() {
  const [params, setParams] = useSearchParams();
  return (
    <>
      <PageHeader title="Activity" lead="What runs, what ran, and who did what." />
      <Panel>
        <Tabs value={params.get('show') ?? 'jobs'} onChange={(show) => setParams({ show: show ?? 'jobs' })} keepMounted={false}>
          <Tabs.List mb="md">
            <Tabs.Tab value="jobs">Jobs</Tabs.Tab>
            <Tabs.Tab value="audit">Audit log</Tabs.Tab>
          </Tabs.List>
          <Tabs.Panel value="jobs">
            <Jobs />
          </Tabs.Panel>
          <Tabs.Panel value="audit">
            <Audit />
          </Tabs.Panel>
        </Tabs>
      </Panel>
    </>
  );
}
