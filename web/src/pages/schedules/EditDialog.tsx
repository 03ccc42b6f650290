import { Button, Group, List, Modal, Stack, Switch, Text, TextInput } from '@mantine/core';
import { useDebouncedValue } from '@mantine/hooks';
import { useQuery } from '@tanstack/react-query';
import { useState, type FormEvent } from 'react';
import { api, unwrap } from '../../api/client';
import { previewQuery } from '../../api/queries';
import type { ScheduleView } from '../../api/types';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Notice } from '../../components/Notice';
import { useAction } from '../../hooks/useAction';
import { whenIn } from '../../lib/format';
import { TASKS } from '../../lib/words';
import { nextClockChange } from './clockChange';

interface Props {
  schedule: ScheduleView;
  zone: string;
  onClose: () => void;
}

/** Changes when something runs, after saying what the expression means. */
export function EditDialog({ schedule, zone, onClose }: Props) {
  const [expression, setExpression] = useState(schedule.expression ?? '');
  const [acrossChange, setAcrossChange] = useState(false);
  const [asked] = useDebouncedValue(expression.trim(), 300);
  const change = nextClockChange(zone);
  const from = acrossChange && change ? new Date(change.getTime() - 2 * 86_400_000).toISOString() : undefined;
  const preview = useQuery({ ...previewQuery(asked, from), enabled: asked !== '' });
  const path = { plan: schedule.plan ?? '-', task: schedule.task };
  const save = useAction({
    run: (value: string | null) => unwrap(api.PUT('/api/schedules/{plan}/{task}', { params: { path }, body: { expression: value } })),
    done: () => 'The schedule is changed',
    after: onClose,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate(asked);
  };
  return (
    <Modal opened onClose={onClose} title={`When: ${TASKS[schedule.task] ?? schedule.task}`} centered closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={submit}>
        <Stack>
          <TextInput
            label="Cron expression"
            description="Minute, hour, day of the month, month, day of the week"
            placeholder="0 2 * * *"
            spellCheck={false}
            value={expression}
            onChange={(event) => setExpression(event.currentTarget.value)}
            data-autofocus
          />
          {change && (
            <Switch
              label={`Show the days around the next clock change, ${whenIn(change.toISOString(), zone)}`}
              checked={acrossChange}
              onChange={(event) => setAcrossChange(event.currentTarget.checked)}
            />
          )}
          {preview.isError && <ErrorNotice error={preview.error} />}
          {preview.data && !preview.isError && (
            <Notice tone="info" title={preview.data.sentence}>
              <List size="sm" type="ordered">
                {preview.data.nextRuns.map(({ at, moved }) => (
                  <List.Item key={at}>
                    {whenIn(at, zone)}
                    {moved && <Text span size="sm" c="var(--warn)">, moved by the clock change</Text>}
                  </List.Item>
                ))}
              </List>
            </Notice>
          )}
          {save.error && <ErrorNotice error={save.error} />}
          <Group justify="flex-end">
            {schedule.edited && (
              <Button variant="default" onClick={() => save.mutate(null)}>
                As configured
              </Button>
            )}
            <Button variant="default" onClick={() => save.mutate('off')}>
              Switch off
            </Button>
            <Button type="submit" loading={save.isPending} disabled={asked === '' || preview.isError}>
              Save
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
