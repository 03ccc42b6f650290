import { Button, Group, List, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { Link, useNavigate } from 'react-router';
import { api, unwrap } from '../../api/client';
import type { Backup } from '../../api/types';
import { ConfirmDialog } from '../../components/ConfirmDialog';
import { ErrorNotice } from '../../components/ErrorNotice';
import { Icon } from '../../components/Icon';
import { JobProgress } from '../../components/JobProgress';
import { JobResult } from '../../components/JobResult';
import { useAction } from '../../hooks/useAction';
import { useSession } from '../../hooks/useSession';
import { bytes, when } from '../../lib/format';

/** What can be done with a backup. */
export function BackupActions({ backup }: { backup: Backup }) {
  const { isAdmin } = useSession();
  const navigate = useNavigate();
  const [job, setJob] = useState<string>();
  const [deleting, setDeleting] = useState(false);
  const params = { path: { id: backup.id } };
  const after = ({ id }: { id: string }) => setJob(id);
  const verify = useAction({ run: () => unwrap(api.POST('/api/backup/{id}/verify', { params, body: {} })), after });
  const drill = useAction({ run: () => unwrap(api.POST('/api/backup/{id}/drill', { params })), after });
  const pin = useAction({
    run: () => unwrap(backup.pinned ? api.DELETE('/api/backup/{id}/pin', { params }) : api.PUT('/api/backup/{id}/pin', { params })),
  });
  const remove = useAction({
    run: () => unwrap(api.DELETE('/api/backup/{id}', { params })),
    done: () => `Backup ${backup.id} is deleted`,
    after: () => void navigate('/backups'),
  });
  if (!isAdmin) return null;
  const usable = backup.state === 'succeeded' || backup.state === 'partial';
  const error = verify.error ?? drill.error ?? pin.error;
  return (
    <Stack gap="sm">
      <Group gap="xs">
        {usable && (
          <>
            <Button component={Link} to={`/restore?backup=${backup.id}`} leftSection={<Icon name="restore" />}>
              Restore
            </Button>
            <Button variant="default" loading={drill.isPending} onClick={() => drill.mutate()}>
              Drill: prove that it restores
            </Button>
            <Button variant="default" loading={verify.isPending} onClick={() => verify.mutate()}>
              Verify
            </Button>
            <Button component="a" href={`/api/backup/${backup.id}/download`} download variant="default" leftSection={<Icon name="download" />}>
              Download
            </Button>
            <Button variant="default" loading={pin.isPending} leftSection={<Icon name="pin" />} onClick={() => pin.mutate()}>
              {backup.pinned ? 'Unpin' : 'Pin'}
            </Button>
          </>
        )}
        <Button variant="default" leftSection={<Icon name="trash" />} onClick={() => setDeleting(true)}>
          Delete
        </Button>
      </Group>
      {error && <ErrorNotice error={error} />}
      {job && <JobProgress id={job} />}
      {job && <JobResult id={job} />}
      {deleting && (
        <ConfirmDialog
          title="Delete this backup?"
          action="Delete the backup"
          busy={remove.isPending}
          error={remove.error}
          onConfirm={() => remove.mutate()}
          onClose={() => setDeleting(false)}
        >
          <Text>This cannot be undone. What goes:</Text>
          <List>
            <List.Item>the backup of {when(backup.startedAt)}, {bytes(backup.bytes ?? 0)} in its store</List.Item>
            {backup.components.map((component) => (
              <List.Item key={component.name}>{component.name}: {bytes(component.bytes)} as it was then</List.Item>
            ))}
          </List>
          <Text>The application and all other backups stay as they are.</Text>
        </ConfirmDialog>
      )}
    </Stack>
  );
}
