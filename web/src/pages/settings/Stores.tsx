import { Stack, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { storesQuery } from '../../api/queries';
import type { Store } from '../../api/types';
import { Empty } from '../../components/Empty';
import { Facts } from '../../components/Facts';
import { Loaded } from '../../components/Loaded';
import { Status } from '../../components/Status';
import { Time } from '../../components/Time';
import { bytes, count } from '../../lib/format';

const KINDS: Record<Store['kind'], { title: string; meaning: string }> = {
  archives: { title: 'Archives', meaning: 'One file a backup. Each opens by itself, with stock tools.' },
  repository: { title: 'Repository', meaning: 'Deduplicated: what did not change since yesterday is stored once. In restic’s format.' },
};

/** Where backups lie, how much they take, how much room is left. */
export function Stores() {
  const query = useQuery(storesQuery);
  return (
    <Loaded query={query} what="the stores">
      {({ stores }) =>
        stores.length === 0 ? (
          <Empty title="No plan writes anywhere">
            <p>Name a plan in strongroom.toml and read the configuration again.</p>
          </Empty>
        ) : (
          <Stack gap="xl">
            {stores.map((store) => (
              <section key={store.kind} aria-label={KINDS[store.kind].title}>
                <Text fw={600}>{KINDS[store.kind].title}</Text>
                <Text size="sm" c="dimmed" mb="sm">
                  {KINDS[store.kind].meaning}
                </Text>
                <Facts
                  facts={[
                    ['Lies at', store.location],
                    ['Written by', store.plans.length > 0 ? `Plan ${store.plans.join(', ')}` : 'No plan any more'],
                    ['Backups', count(store.backups)],
                    ['Storage used', bytes(store.bytes)],
                    ['Newest good backup', store.newestAt ? <Time at={store.newestAt} relative /> : 'None'],
                    ['Encryption', <Status key="key" tone={store.encrypted ? 'info' : 'warn'} label={store.encrypted ? 'Encrypted' : 'Not encrypted'} />],
                    ['Room', store.disk && `${bytes(store.disk.freeBytes)} free of ${bytes(store.disk.totalBytes)}`],
                  ]}
                />
              </section>
            ))}
          </Stack>
        )
      }
    </Loaded>
  );
}
