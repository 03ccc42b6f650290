import { Anchor, Text } from '@mantine/core';
import { useSearchParams } from 'react-router';
import { JobProgress } from '../../components/JobProgress';
import { JobResult } from '../../components/JobResult';
import { Notice } from '../../components/Notice';
import { PageHeader } from '../../components/PageHeader';
import { Panel } from '../../components/Panel';
import { useSession } from '../../hooks/useSession';
import { ChooseBackup } from './ChooseBackup';
import { PlanRestore } from './PlanRestore';
import { Restores } from './Restores';

/** Choose, see what would happen, confirm, watch, undo. Where one is stands in the address, so that reloading loses nothing. */
export default function RestorePage() {
  const { isAdmin } = useSession();
  const [params, setParams] = useSearchParams();
  const backup = params.get('backup');
  const job = params.get('job');
  const watch = (id: string) => setParams({ job: id });
  return (
    <>
      <PageHeader title="Restore" lead="Nothing changes until you have seen what would happen and typed the confirmation. Every restore can be undone." />
      {!isAdmin && <Notice tone="info" title="Only administrators restore" />}
      {job && (
        <Panel title="This run">
          <JobProgress id={job} />
          <JobResult id={job} />
          <Text mt="sm">
            <Anchor component="button" type="button" onClick={() => setParams({})}>
              Restore something else
            </Anchor>
          </Text>
        </Panel>
      )}
      {isAdmin && !job && !backup && <ChooseBackup onChoose={(id) => setParams({ backup: id })} />}
      {isAdmin && !job && backup && <PlanRestore id={backup} onBack={() => setParams({})} onStarted={watch} />}
      <Restores onStarted={watch} />
    </>
  );
}
