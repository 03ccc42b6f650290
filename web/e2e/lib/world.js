import { randomBytes } from 'node:crypto';
import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hookServer, mailServer } from './receivers.js';
import { Application } from './service.js';

const DAYS = 26;
const DAY_MS = 86_400_000;

/**
 * A sample application that has been backed up for weeks: real backups, made at other times. So there are charts, a time
 * line, and backups that the policy lets go.
 */
export async function world() {
  const mail = await mailServer();
  const hook = await hookServer();
  const app = new Application();
  // Before anybody is to be told: the command line delivers its messages itself, and waits for them.
  fillHistory(app);
  app.configure({
    dotenv: `TZ=Europe/Berlin
BACKUP_RETENTION_DAILY=7
BACKUP_RETENTION_WEEKLY=2
BACKUP_RETENTION_MONTHLY=1
BACKUP_EMAIL_ENABLED=true
BACKUP_EMAIL_FROM=strongroom@example.com
BACKUP_EMAIL_TO=admin@example.com
SMTP_HOST=127.0.0.1
SMTP_PORT=${mail.port}
SMTP_SECURE=false`,
    toml: `[plans.default]
description = "Everything, every night"

[plans.ledger]
description = "The database alone, as one JSON document"
components = ["database"]
format = "json"
schedules.weekly = "30 4 * * 1"

[schedule]
catch_up = false

[notify]
low_disk_percent = 0 # of the machine that the tests run on

[[notify.webhook]]
name = "chat"
url = "http://127.0.0.1:${hook.port}/secret-path"
`,
  });
  return { app, mail, hook, service: await app.serve() };
}

function fillHistory(app) {
  const at = (days, time) => `${new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10)} ${time}`;
  const backup = (days, tier, time) => app.run(['backup', '--tier', tier, '--quiet'], { at: at(days, time) });
  backup(DAYS + 20, 'monthly', '01:00:00');
  for (let days = DAYS; days >= 1; days -= 1) {
    writeFileSync(join(app.uploads, `scan-${days}.jpg`), randomBytes(40_000 + 9_000 * (DAYS - days)));
    backup(days, 'daily', '02:00:00');
    if (days % 7 === 1) backup(days, 'weekly', '03:00:00');
    if (days === 12) backup(days, 'monthly', '04:00:00');
  }
  withoutDatabase(app, () => {
    try {
      backup(9, 'daily', '05:00:00');
    } catch {
      return; // It shall fail.
    }
    throw new Error('a backup without its database did not fail');
  });
}

/** While the application's database is not there. */
export function withoutDatabase(app, run) {
  renameSync(app.database, `${app.database}.away`);
  const back = () => {
    rmSync(app.database, { force: true });
    renameSync(`${app.database}.away`, app.database);
  };
  let result;
  try {
    result = run();
  } catch (error) {
    back();
    throw error;
  }
  if (result instanceof Promise) return result.finally(back);
  back();
  return result;
}
