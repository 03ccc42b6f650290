import { Button, Group, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useParams } from 'react-router';
import { backupQuery } from '../../api/queries';
import type { Backup } from '../../api/types';
import { Facts } from '../../components/Facts';
import { JobProgress } from '../../components/JobProgress';
import { Loaded } from '../../components/Loaded';
import { Notice } from '../../components/Notice';
import { PageHeader } from '../../components/PageHeader';
import { Panel } from '../../components/Panel';
import { Status } from '../../components/Status';
import { TimeInBoth } from '../../components/Time';
import { TrustSteps } from '../../components/TrustSteps';
import { useAction } from '../../hooks/useAction';
import { useSession } from '../../hooks/useSession';
import { api, unwrap } from '../../api/client';
import { bytes, duration, when } from '../../lib/format';
import { STATES, TIERS } from '../../lib/words';
import { BackupActions } from './BackupActions';
import { Components } from './Components';
import { FileBrowser } from './FileBrowser';
import { Manifest } from './Manifest';

export default function BackupPage() {
  const { id = '' } = useParams();
  const query = useQuery(backupQuery(id));
  return (
    <Loaded query={query} what={`backup ${id}`}>
      {(backup) => <Details backup={backup} />}
    </Loaded>
  );
}

function Details({ backup }: { backup: Backup }) {
  const usable = backup.state === 'succeeded' || backup.state === 'partial';
  return (
    <>
      <PageHeader title={`Backup of ${when(backup.startedAt)}`} lead={backup.description}>
        <Status {...STATES[backup.state]} />
      </PageHeader>
      {backup.state === 'running' && (
        <Panel title="Under way">
          <JobProgress id={backup.id} />
        </Panel>
      )}
      {backup.error && (
        <Notice tone="bad" title={`Nothing was stored: ${backup.error.message}`}>
          <p>{backup.error.hint}</p>
        </Notice>
      )}
      <Collapsed backup={backup} />
      {backup.warnings.length > 0 && (
        <Notice tone="warn" title="What a person should know">
          <ul>
            {backup.warnings.map((warning) => (
              <li key={warning}>{warning}</li>
            ))}
          </ul>
        </Notice>
      )}
      {usable && (
        <Panel title="How far it is proven">
          <Stack>
            <TrustSteps trust={backup.trust} />
            <BackupActions backup={backup} />
          </Stack>
        </Panel>
      )}
      {!usable && backup.state !== 'running' && <BackupActions backup={backup} />}
      <Panel title="Details">
        <Facts
          facts={[
            ['Id', backup.id],
            ['Plan', backup.plan],
            ['Tier', TIERS[backup.tier]],
            ['Started', <TimeInBoth at={backup.startedAt} key="started" />],
            ['Took', backup.durationMs == null ? null : duration(backup.durationMs)],
            ['In the store', backup.bytes == null ? null : bytes(backup.bytes)],
            ['Content', bytes(backup.contentBytes)],
            ['Encrypted', backup.encrypted ? `Yes, with key ${backup.keyFingerprint}` : 'No'],
            ['Pinned', backup.pinned ? 'Yes: retention never removes it' : 'No'],
            ['Late', backup.late ? 'Yes: it made up for a missed run' : null],
            ['Lies at', backup.location],
            ['SHA-256', backup.sha256],
          ]}
        />
      </Panel>
      <Components components={backup.components} />
      {usable && <FileBrowser id={backup.id} />}
      {usable && <Manifest id={backup.id} />}
    </>
  );
}

function Collapsed({ backup }: { backup: Backup }) {
  const { isAdmin } = useSession();
  const path = { id: backup.id };
  const acknowledge = useAction({ run: () => unwrap(api.POST('/api/backup/{id}/acknowledge', { params: { path } })) });
  if (!backup.collapsed || backup.collapsed.acknowledged) return null;
  return (
    <Notice tone="warn" title="Much smaller than the backup before it">
      <p>{backup.collapsed.reason}. Until a person says that this is right, nothing older of this plan is removed.</p>
      {isAdmin && (
        <Group>
          <Button size="xs" variant="default" loading={acknowledge.isPending} onClick={() => acknowledge.mutate()}>
            This is right
          </Button>
        </Group>
      )}
    </Notice>
  );
}
