import { Button, Checkbox, Stack, Text } from '@mantine/core';
import { useState } from 'react';
import { Icon } from '../../components/Icon';

export function RecoveryKitStep({ onSaved }: { onSaved: () => void }) {
  const [saved, setSaved] = useState(false);
  return (
    <Stack>
      <Text>
        The kit holds the key and the steps to restore on a new machine. Without the key, encrypted backups cannot be opened by
        anybody. Print it, or keep it in a password manager; not on this machine.
      </Text>
      <Button component="a" href="/api/recovery-kit" download leftSection={<Icon name="download" />}>
        Download the recovery kit
      </Button>
      <Checkbox
        label="I have saved it in a place that survives this machine"
        checked={saved}
        onChange={(event) => setSaved(event.currentTarget.checked)}
      />
      <Button disabled={!saved} onClick={onSaved}>
        Go on
      </Button>
    </Stack>
  );
}
