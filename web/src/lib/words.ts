/** What the API's names are called on the pages, and how serious they are. */

import type { JobState, Restore, State, Tier } from '../api/types';

/** `proven` alone is green: it is kept for what a comparison showed to be true. */
export type Tone = 'proven' | 'info' | 'busy' | 'warn' | 'bad' | 'idle';

export const TIERS: Record<Tier, string> = {
  daily: 'Daily',
  weekly: 'Weekly',
  monthly: 'Monthly',
  manual: 'Manual',
  'pre-restore': 'Before a restore',
};

export const STATES: Record<State, { label: string; tone: Tone }> = {
  running: { label: 'Running', tone: 'busy' },
  succeeded: { label: 'Complete', tone: 'info' },
  partial: { label: 'Partial', tone: 'warn' },
  failed: { label: 'Failed', tone: 'bad' },
  cancelled: { label: 'Cancelled', tone: 'idle' },
};

export const JOB_STATES: Record<JobState, { label: string; tone: Tone }> = {
  queued: { label: 'Waiting', tone: 'idle' },
  running: { label: 'Running', tone: 'busy' },
  succeeded: { label: 'Done', tone: 'info' },
  partial: { label: 'Done in part', tone: 'warn' },
  failed: { label: 'Failed', tone: 'bad' },
  cancelled: { label: 'Cancelled', tone: 'idle' },
};

export const JOB_KINDS: Record<string, string> = {
  backup: 'Backup',
  restore: 'Restore',
  undo: 'Undo of a restore',
  verify: 'Verification',
  drill: 'Restore drill',
  cleanup: 'Cleanup',
};

export const RESTORE_STATES: Record<Restore['state'], { label: string; tone: Tone }> = {
  prepared: { label: 'Under way', tone: 'busy' },
  swapped: { label: 'Live, can be undone', tone: 'info' },
  undone: { label: 'Undone', tone: 'idle' },
  expired: { label: 'Live', tone: 'info' },
  failed: { label: 'Failed, nothing changed', tone: 'bad' },
};

export const KINDS: Record<string, string> = {
  files: 'Files',
  config: 'Configuration files',
  logs: 'Log files',
  sqlite: 'SQLite database',
  postgres: 'PostgreSQL database',
  mysql: 'MySQL or MariaDB database',
};

export const FORMATS: Record<string, string> = {
  json: 'JSON archive',
  tar: 'tar archive',
  repository: 'Repository snapshot',
};

export const TASKS: Record<string, string> = {
  daily: 'Daily backup',
  weekly: 'Weekly backup',
  monthly: 'Monthly backup',
  cleanup: 'Cleanup',
  verify: 'Verification',
  drill: 'Restore drill',
};

/** The four steps of trust, in their order. */
export const TRUST_STEPS = [
  { key: 'stored', label: 'Stored', meaning: 'Written to the store and flushed' },
  { key: 'reRead', label: 'Re-read', meaning: 'Every byte read back from the store and hashed' },
  { key: 'opened', label: 'Opened', meaning: 'Decrypted, decompressed, parsed and compared with its manifest' },
  { key: 'restored', label: 'Restored', meaning: 'Restored into a scratch place and compared equal' },
] as const;

/** Words to pick entries by: rows of tables, files of trees. */
export function entriesWord(kind: string): string {
  return ['sqlite', 'postgres', 'mysql'].includes(kind) ? 'rows' : 'files';
}

/** What people may do. */
export const ROLES = [
  { value: 'VIEWER', label: 'Viewer: looks' },
  { value: 'ADMIN', label: 'Administrator: does everything' },
];
