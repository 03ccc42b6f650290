import { Button, Checkbox, Radio, Stack, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
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
import { KINDS } from '../../lib/words';
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
  const [elsewhere, setElsewhere] = useState(false);
  const [destination, setDestination] = useState('');
  const [typed, setTyped] = useState('');
  const [place] = useDebouncedValue(destination.trim(), 400);
  const targets = elsewhere ? Object.fromEntries(chosen.map((name) => [name, place])) : {};
  const placed = !elsewhere || (place !== '' && place === destination.trim());
  const plan = useQuery({ ...restorePlanQuery(id, chosen, targets), enabled: chosen.length > 0 && placed });
  const restore = useAction({
    run: () => {
      const body = { backupId: id, components: chosen, targets, confirmToken: typed };
      return unwrap(api.POST('/api/backup/restore', { body }));
    },
    after: (job) => onStarted(job.id),
  });
  const ready = typed === WORD && placed && !plan.isFetching && plan.data?.obstacles.length === 0;
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
            {backup.components.map(({ name, kind }) => (
              <Checkbox key={name} value={name} label={name} description={KINDS[kind]} />
            ))}
          </Stack>
        </Checkbox.Group>
        <Radio.Group label="Where to" mt="md" value={elsewhere ? 'elsewhere' : 'live'} onChange={(value) => setElsewhere(value === 'elsewhere')}>
          <Stack gap="xs" mt="xs">
            <Radio value="live" label="In its place: the live data is replaced, and can be put back" />
            <Radio value="elsewhere" label="Somewhere else: the live data stays as it is" />
          </Stack>
        </Radio.Group>
        {elsewhere && (
          <TextInput
            mt="sm"
            maw={480}
            label="Folder or database"
            description="On the machine of the service: a new or empty folder, or the address of a new database"
            placeholder="/srv/restored"
            spellCheck={false}
            value={destination}
            onChange={(event) => setDestination(event.currentTarget.value)}
          />
        )}
      </Panel>
      {chosen.length > 0 && placed && (
        <Panel title="3. What would happen">
          <Loaded query={plan} what="what would happen">
            {(data) => <PlanView plan={data} />}
          </Loaded>
        </Panel>
      )}
      {plan.data && placed && (
        <Panel title="4. Confirm">
          <form onSubmit={submit}>
            <Stack maw={420}>
              <TextInput
                label={elsewhere ? `Type ${WORD} to restore there` : `Type ${WORD} to replace the live data`}
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
