import { Button } from '@mantine/core';
import { ApiError } from '../api/error';
import { Notice } from './Notice';

interface Props {
  error: unknown;
  /** What could not be done: `The backups could not be read`. */
  title?: string;
  onRetry?: () => void;
}

/** A failure: what happened, what to do next. */
export function ErrorNotice({ error, title, onRetry }: Props) {
  const failure = ApiError.from(error);
  return (
    <Notice tone="bad" title={title ?? failure.message} live>
      {title && <p>{failure.message}.</p>}
      {failure.hint && <p>{failure.hint}</p>}
      {onRetry && (
        <Button size="xs" variant="default" onClick={onRetry}>
          Try again
        </Button>
      )}
    </Notice>
  );
}
