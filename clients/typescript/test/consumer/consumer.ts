// An application that installed the package: its types hold, and it works.
import { Strongroom, getScheduledBackupStatusAction, type Answer } from '@strongroom/client';
import { triggerManualBackupAction } from '@strongroom/client/actions';

declare const process: { env: Record<string, string> };

const status = await getScheduledBackupStatusAction();
if (!status.success) throw new Error(`${status.error.message}. ${status.error.hint}`);
const next: string | null | undefined = status.data.nextRun;

const started = await triggerManualBackupAction();
if (!started.success || !started.data.job) throw new Error('nothing was started');

const client = new Strongroom({ url: process.env.STRONGROOM_URL!, token: process.env.STRONGROOM_TOKEN! });
const job = await client.request('get', '/api/jobs/{id}', { path: { id: started.data.job.id } });
if (!job.success || job.data.kind !== 'backup') throw new Error('the job is no backup');

// @ts-expect-error there is no such address
const wrong: Promise<Answer<unknown>> = client.request('get', '/api/nonsense');
if ((await wrong).success) throw new Error('an address that does not exist answered');
// @ts-expect-error a backup has no such tier
void client.request('post', '/api/backup/create', { body: { type: 'hourly' } }).then(() => undefined);

console.log(`the installed package works; the next backup is ${next ?? 'not planned'}`);
