import { notifications } from '@mantine/notifications';
import { useMutation, useQueryClient } from '@tanstack/react-query';

interface Options<In, Out> {
  run: (input: In) => Promise<Out>;
  /** Told when it is done; nothing when the page shows it by itself. */
  done?: (result: Out) => string;
  after?: (result: Out) => void;
}

/** Something that changes the service. Everything that is shown is asked for again afterwards. */
export function useAction<In = void, Out = unknown>({ run, done, after }: Options<In, Out>) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: run,
    onSuccess: (result) => {
      if (done) notifications.show({
          message: done(result),
          autoClose: 6000,
          closeButtonProps: { 'aria-label': 'Dismiss' },
        });
      after?.(result);
      // A plan that was just carried out is past: asking for it again would be refused.
      void client.invalidateQueries({ predicate: ({ queryKey }) => queryKey[0] !== 'restore-plan' });
    },
  });
}
