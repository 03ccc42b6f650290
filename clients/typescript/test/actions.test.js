// Against a running service: STRONGROOM_URL and STRONGROOM_TOKEN (scope admin) name it.
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import {
  configure,
  getScheduledBackupStatusAction,
  startScheduledBackupsAction,
  stopScheduledBackupsAction,
  Strongroom,
  triggerManualBackupAction,
} from '../dist/index.js';

const { STRONGROOM_URL: url, STRONGROOM_TOKEN: token } = process.env;
assert.ok(url && token, 'STRONGROOM_URL and STRONGROOM_TOKEN must name a running service');

after(() => configure(undefined));

test('stop and start show in the status', async () => {
  assert.equal((await stopScheduledBackupsAction()).success, true);
  const stopped = await getScheduledBackupStatusAction();
  assert.deepEqual([stopped.success, stopped.data.isRunning, stopped.data.nextRun], [true, false, null]);
  assert.equal((await startScheduledBackupsAction()).data.isRunning, true);
  const running = await getScheduledBackupStatusAction();
  assert.equal(running.data.isRunning, true);
  assert.match(running.data.nextRun, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.equal(typeof running.data.schedule, 'string');
});

test('a triggered backup becomes a good backup', async () => {
  const triggered = await triggerManualBackupAction();
  assert.equal(triggered.success, true);
  const client = new Strongroom({ url, token });
  const id = triggered.data.job.id;
  let job;
  do {
    await new Promise((resolve) => setTimeout(resolve, 200));
    job = await client.request('get', '/api/jobs/{id}', { path: { id } });
  } while (['queued', 'running'].includes(job.data.state));
  assert.equal(job.data.state, 'succeeded');
  const backup = await client.request('get', '/api/backup/{id}', { path: { id } });
  assert.equal(backup.data.tier, 'manual');
});

test('a wrong token is an answer, not an exception', async () => {
  configure(new Strongroom({ url, token: 'wrong' }));
  const answer = await getScheduledBackupStatusAction();
  configure(undefined);
  assert.equal(answer.success, false);
  assert.equal(answer.error.code, 'unauthenticated');
});

test('a service that is not there is an answer, not an exception', async () => {
  configure(new Strongroom({ url: 'http://127.0.0.1:1', token }));
  const answer = await getScheduledBackupStatusAction();
  configure(undefined);
  assert.deepEqual([answer.success, answer.error.code], [false, 'unreachable']);
});
