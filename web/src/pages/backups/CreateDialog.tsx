import { Button, Checkbox, Group, Modal, Select, Stack, Textarea } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { api, unwrap } from '../../api/client';
import { plansQuery } from '../../api/queries';
import { ErrorNotice } from '../../components/ErrorNotice';
import { JobProgress } from '../../components/JobProgress';
import { JobResult } from '../../components/JobResult';
import { useAction } from '../../hooks/useAction';

/** Makes a backup now, and shows how it goes. Closing it does not stop the backup. */
export function CreateDialog({ plan: wanted, onClose }: { plan?: string; onClose: () => void }) {
  const plans = useQuery(plansQuery).data?.plans ?? [];
  const [planName, setPlanName] = useState<string | null>(wanted ?? null);
  const [description, setDescription] = useState('');
  const [left, setLeft] = useState<string[]>([]);
  const [job, setJob] = useState<string>();
  const plan = plans.find((one) => one.name === planName) ?? plans[0];
  const chosen = plan?.components.filter((name) => !left.includes(name)) ?? [];
  const create = useAction({
    run: () => {
      const components = left.length > 0 ? chosen : undefined;
      return unwrap(api.POST('/api/backup/create', { body: { plan: plan?.name, description, components } }));
    },
    after: ({ id }) => setJob(id),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <Modal opened onClose={onClose} title="Back up now" centered closeButtonProps={{ 'aria-label': 'Close' }}>
      {job ? (
        <Stack>
          <JobProgress id={job} />
          <JobResult id={job} />
          <Button variant="default" onClick={onClose}>
            Close
          </Button>
        </Stack>
      ) : (
        <form onSubmit={submit}>
          <Stack>
            {plans.length > 1 && (
              <Select label="Plan" data={plans.map((one) => one.name)} value={plan?.name ?? null} onChange={setPlanName} allowDeselect={false} />
            )}
            <Textarea
              label="Description"
              placeholder="Why you make it, for whoever looks later"
              maxLength={1000}
              value={description}
              onChange={(event) => setDescription(event.currentTarget.value)}
              data-autofocus
            />
            <Checkbox.Group
              label="Components"
              value={chosen}
              onChange={(names) => setLeft(plan?.components.filter((name) => !names.includes(name)) ?? [])}
            >
              <Group mt="xs">
                {plan?.components.map((name) => <Checkbox key={name} value={name} label={name} />)}
              </Group>
            </Checkbox.Group>
            {create.error && <ErrorNotice error={create.error} />}
            <Button type="submit" loading={create.isPending} disabled={chosen.length === 0}>
              Start the backup
            </Button>
          </Stack>
        </form>
      )}
    </Modal>
  );
}
