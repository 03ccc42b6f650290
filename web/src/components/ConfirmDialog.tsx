import { Button, Group, Modal, Stack, TextInput } from '@mantine/core';
import { useState, type FormEvent, type ReactNode } from 'react';
import { ErrorNotice } from './ErrorNotice';

interface Props {
  title: string;
  /** What exactly will happen. */
  children: ReactNode;
  /** On the button that does it. */
  action: string;
  /** Must be typed first, where there is no way back. */
  word?: string;
  busy: boolean;
  error: unknown;
  onConfirm: () => void;
  onClose: () => void;
}

/** Asks before anything is lost. */
export function ConfirmDialog({ title, children, action, word, busy, error, onConfirm, onClose }: Props) {
  const [typed, setTyped] = useState('');
  const ready = !word || typed === word;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (ready) onConfirm();
  };
  return (
    <Modal opened onClose={onClose} title={title} centered closeButtonProps={{ 'aria-label': 'Close' }}>
      <form onSubmit={submit}>
        <Stack>
          {children}
          {word && (
            <TextInput
              label={`Type ${word} to go on`}
              value={typed}
              onChange={(event) => setTyped(event.currentTarget.value)}
              autoComplete="off"
              spellCheck={false}
              data-autofocus
            />
          )}
          {error ? <ErrorNotice error={error} /> : null}
          <Group justify="flex-end">
            <Button variant="default" onClick={onClose}>
              Keep everything as it is
            </Button>
            <Button type="submit" color="red.9" disabled={!ready} loading={busy}>
              {action}
            </Button>
          </Group>
        </Stack>
      </form>
    </Modal>
  );
}
