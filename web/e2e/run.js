// Every page against the real binary with real backups: STRONGROOM_BINARY=… npm test
// A part of them: npm test -- backups looks
import { Harness } from './lib/harness.js';
import { world } from './lib/world.js';
import { backups } from './steps/backups.js';
import { looks } from './steps/looks.js';
import { offline } from './steps/offline.js';
import { people } from './steps/people.js';
import { restore } from './steps/restore.js';
import { retention } from './steps/retention.js';
import { running } from './steps/running.js';
import { schedules } from './steps/schedules.js';
import { settings } from './steps/settings.js';
import { setUp } from './steps/setUp.js';
import { trouble } from './steps/trouble.js';

/** In this order: what comes later may find what came before. */
const PARTS = { backups, restore, schedules, settings, people, looks, retention, trouble, offline, running };
const wanted = process.argv.slice(2);
const unknown = wanted.filter((name) => !(name in PARTS));
if (unknown.length > 0) throw new Error(`no such part: ${unknown.join(', ')}; there are ${Object.keys(PARTS).join(', ')}`);

const harness = await Harness.start();
const { app, mail, hook, service } = await world();
try {
  const ada = await harness.person(service);
  await setUp(harness, ada);
  for (const [name, part] of Object.entries(PARTS)) {
    if (wanted.length === 0 || wanted.includes(name)) await part({ harness, service, app, mail, hook, ada });
  }
} catch (error) {
  // A part's own preparation: reported like a step, so that the summary is never missing.
  await harness.step('the preparation of all parts', undefined, () => Promise.reject(error));
} finally {
  await harness.finish();
  await service.stop();
  mail.close();
  hook.close();
  app.remove();
}
