import { Button, Checkbox, Group, Stack, TextInput } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { api, unwrap } from '../../api/client';
import { backupQuery, restorePlanQuery } from '../../api/queries';
import type { Backup } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Loaded } from '../../components/Loaded';
import { Panel } from '../../components/Panel';
import { useAction } from '../../hooks/useAction';
import { when } from '../../lib/format';
import { PlanView } from './PlanView';

const WORD = 'CONFIRM_RESTORE';

interface Props {
  id: string;
  onBack: () => void;
  onStarted: (job: string) => void;
}

export function PlanRestore(props: Props) {
  const query = useQuery(backupQuery(props.id));
  return (
    <Loaded query={query} what="the backup">
      {(backup) => <Choices {...props} backup={backup} />}
    </Loaded>
  );
}

function Choices({ id, backup, onBack, onStarted }: Props & { backup: Backup }) {
  const [chosen, setChosen] = useState(backup.components.map(({ name }) => name));
  const [targets, setTargets] = useState<Record<string, string>>({});
  const [typed, setTyped] = useState('');
  const used = Object.fromEntries(Object.entries(targets).filter(([name, target]) => target && chosen.includes(name)));
  const plan = useQuery({ ...restorePlanQuery(id, chosen, used), enabled: chosen.length > 0 });
  const restore = useAction({
    run: () => {
      const body = { backupId: id, components: chosen, targets: used, confirmToken: typed };
      return unwrap(api.POST('/api/backup/restore', { body }));
    },
    after: (job) => onStarted(job.id),
  });
  const ready = typed === WORD && plan.data?.obstacles.length === 0;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) restore.mutate();
  };
  return (
    <>
      <Panel
        title={`2. What to restore from the backup of ${when(backup.startedAt)}`}
        aside={
          <Button size="xs" variant="default" onClick={onBack}>
            Choose another backup
          </Button>
        }
      >
        <Checkbox.Group label="Components" value={chosen} onChange={setChosen}>
          <Stack gap="xs" mt="xs">
            {backup.components.map(({ name }) => (
              <Group key={name} gap="md">
                <Checkbox value={name} label={name} miw={140} />
                <TextInput
                  aria-label={`Where to restore ${name}`}
                  placeholder="In its place, or another folder or database"
                  flex={1}
                  miw={220}
                  disabled={!chosen.includes(name)}
                  value={targets[name] ?? ''}
                  onChange={(event) => setTargets({ ...targets, [name]: event.currentTarget.value })}
                />
              </Group>
            ))}
          </Stack>
        </Checkbox.Group>
      </Panel>
      {chosen.length > 0 && (
        <Panel title="3. What would happen">
          <Loaded query={plan} what="what would happen">
            {(data) => <PlanView plan={data} />}
          </Loaded>
        </Panel>
      )}
      {plan.data && (
        <Panel title="4. Confirm">
          <form onSubmit={submit}>
            <Stack maw={420}>
              <TextInput
                label={`Type ${WORD} to replace the live data`}
                autoComplete="off"
                spellCheck={false}
                value={typed}
                onChange={(event) => setTyped(event.currentTarget.value)}
              />
              {restore.error && <ErrorNotice error={restore.error} />}
              <Button type="submit" color="red.9" disabled={!ready} loading={restore.isPending}>
                Restore now
              </Button>
            </Stack>
          </form>
        </Panel>
      )}
    </>
  );
}
