import { Anchor } from '@mantine/core';
import { Link } from 'react-router';
import type { Job } from '../api/types';
import { isOver, useJob } from '../hooks/useJob';
import { bytes, capital, duration, plural } from '../lib/format';
import { JOB_KINDS, type Tone } from '../lib/words';
import { Notice } from './Notice';

interface Outcome {
  good?: boolean;
  bytes?: number;
  durationMs?: number;
  differences?: string[];
  deleted?: string[];
  freedBytes?: number;
  problems?: string[];
  notes?: string[];
  warnings?: string[];
  state?: string;
  swappedAt?: string | null;
  backups?: { backupId: string; problems: string[] }[];
}

/** What came of a job, once it is over. */
export function JobResult({ id }: { id: string }) {
  const job = useJob(id).data;
  if (!job || !isOver(job)) return null;
  const outcome = (job.result ?? {}) as Outcome;
  const problems = [
    ...(outcome.differences ?? []),
    ...(outcome.problems ?? []),
    ...(outcome.backups ?? []).flatMap((found) => found.problems.map((problem) => `${found.backupId}: ${problem}`)),
  ];
  // A backup's own are on its page.
  const warnings = job.kind === 'backup' ? [] : (outcome.warnings ?? []);
  return (
    <Notice tone={toneOf(job, warnings)} title={titleOf(job, outcome)} live>
      {job.error && (
        <p>
          {job.error.message}. {job.error.hint}
        </p>
      )}
      {outcome.notes?.map((note) => (
        <p key={note}>{note}</p>
      ))}
      {warnings.map((warning) => (
        <p key={warning}>{capital(warning)}</p>
      ))}
      {problems.length > 0 && (
        <ul>
          {problems.map((problem) => (
            <li key={problem}>{problem}</li>
          ))}
        </ul>
      )}
      {job.kind === 'backup' && job.state !== 'cancelled' && (
        <Anchor component={Link} to={`/backups/${id}`}>
          Show the backup
        </Anchor>
      )}
    </Notice>
  );
}

function toneOf(job: Job, warnings: string[]): Tone {
  if (job.state === 'failed') return 'bad';
  if (job.state === 'partial' || (job.state === 'succeeded' && warnings.length > 0)) return 'warn';
  if (job.state === 'cancelled') return 'idle';
  return job.kind === 'drill' ? 'proven' : 'info';
}

function titleOf(job: Job, outcome: Outcome): string {
  const kind = JOB_KINDS[job.kind] ?? job.kind;
  if (job.state === 'failed') return `${kind} failed`;
  if (job.state === 'cancelled') return `${kind} was cancelled: nothing was changed`;
  if (job.state === 'partial') return `${kind} was done in part`;
  const took = outcome.durationMs ? ` in ${duration(outcome.durationMs)}` : '';
  switch (job.kind) {
    case 'backup':
      return `The backup is stored${outcome.bytes ? `: ${bytes(outcome.bytes)}` : ''}${took}. A drill proves that it restores`;
    case 'drill':
      return `Restored into a scratch place${took}, and compared equal`;
    case 'verify':
      return 'Everything is as it was written';
    case 'cleanup':
      return `Removed ${plural(outcome.deleted?.length ?? 0, 'backup')}, freed ${bytes(outcome.freedBytes ?? 0)}`;
    case 'restore':
      return outcome.swappedAt ? 'The restored data is live' : 'Restored into the other place; the live data stayed as it was';
    default:
      return outcome.state === 'swapped' ? 'The restored data is live again' : 'The data from before the restore is live again';
  }
}
