import { Skeleton, Stack } from '@mantine/core';

interface Props {
  /** What is on its way: `the backups`. */
  what: string;
  lines?: number;
}

/** Grey bars where something will be. */
export function Loading({ what, lines = 4 }: Props) {
  return (
    <Stack gap="sm" role="status" aria-label={`Loading ${what}`} p="xs">
      {Array.from({ length: lines }, (_, line) => (
        <Skeleton key={line} height={18} width={`${100 - line * 11}%`} />
      ))}
    </Stack>
  );
}
