import { Button, Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { settingsQuery } from '../../api/queries';
import { Facts } from '../../components/Facts';
import { Icon } from '../../components/Icon';
import { Loaded } from '../../components/Loaded';
import { Notice } from '../../components/Notice';

/** Fingerprints of the keys, never the keys; and the recovery kit. */
export function Keys() {
  const query = useQuery(settingsQuery);
  return (
    <Loaded query={query} what="the keys">
      {({ keyFingerprint, previousKeyFingerprints }) => (
        <Stack>
          {!keyFingerprint && (
            <Notice tone="warn" title="Backups are not encrypted">
              <p>Set BACKUP_ENCRYPTION_KEY (“strongroom key generate” makes one) and reload the configuration.</p>
            </Notice>
          )}
          <Facts
            facts={[
              ['Key for new backups', keyFingerprint],
              ['Older keys that still open backups', previousKeyFingerprints.join(', ')],
            ]}
          />
          <Text>The recovery kit holds the key and the steps to restore on a new machine. Keep it elsewhere.</Text>
          <Button component="a" href="/api/recovery-kit" download w="fit-content" leftSection={<Icon name="download" />}>
            Download the recovery kit
          </Button>
        </Stack>
      )}
    </Loaded>
  );
}
