/**
 * Server actions for React, under the names that applications already use. They read STRONGROOM_URL and STRONGROOM_TOKEN
 * from the environment, unless a client was set with {@link configure}. Call them on the server only: the token is a secret.
 * Your application checks first that its user may do this.
 */

import { failure, Strongroom, type Answer, type DataOf } from './client.js';

export type ScheduledStatus = DataOf<'/api/admin/scheduled-backups', 'get'>;
export type ActionDone = DataOf<'/api/admin/scheduled-backups', 'post'>;

const PATH = '/api/admin/scheduled-backups';

let configured: Strongroom | undefined;

/** Uses this client instead of the environment. */
export function configure(client: Strongroom | undefined): void {
  configured = client;
}

/** Whether scheduled backups run, and when the next one does. */
export async function getScheduledBackupStatusAction(): Promise<Answer<ScheduledStatus>> {
  return withClient((client) => client.request('get', PATH));
}

/** Starts scheduled backups. */
export async function startScheduledBackupsAction(): Promise<Answer<ActionDone>> {
  return withClient((client) => client.request('post', PATH, { body: { action: 'start' } }));
}

/** Stops scheduled backups, until somebody starts them. */
export async function stopScheduledBackupsAction(): Promise<Answer<ActionDone>> {
  return withClient((client) => client.request('delete', PATH));
}

/** Makes a backup now; `data.job.id` is its id. */
export async function triggerManualBackupAction(): Promise<Answer<ActionDone>> {
  return withClient((client) => client.request('post', PATH, { body: { action: 'trigger' } }));
}

async function withClient<T>(use: (client: Strongroom) => Promise<Answer<T>>): Promise<Answer<T>> {
  if (configured) return use(configured);
  const { STRONGROOM_URL: url, STRONGROOM_TOKEN: token } = process.env;
  if (url && token) return use(new Strongroom({ url, token }));
  const hint = 'Set both in the environment of your application, or call configure().';
  return failure('not_configured', 'STRONGROOM_URL and STRONGROOM_TOKEN are not set', hint);
}
