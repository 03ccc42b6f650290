// Every page against the real binary with real backups: STRONGROOM_BINARY=… npm test
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { startService } from './service.js';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const SHOTS = new URL('screenshots/', import.meta.url).pathname;
const PASSWORD = 'correct horse battery';
const PAGES = ['/', '/backups', '/restore', '/schedules', '/retention', '/activity', '/activity?show=audit', '/settings/components', '/settings/notifications', '/settings/account', '/settings/people', '/settings/tokens', '/settings/keys', '/settings/configuration'];

mkdirSync(SHOTS, { recursive: true });
const service = await startService();
const database = join(service.folder, 'prisma/dev.db');
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox', '--disable-background-networking'],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true, bypassCSP: false });
const page = await context.newPage();
page.setDefaultTimeout(10_000);
const complaints = [];
/** Refusals that a step provokes show on the console as failed loads; everything else there is a fault. */
let provoked = false;
page.on('console', (message) => {
  const load = message.text().startsWith('Failed to load resource');
  if (message.type() === 'error' && !(provoked && load)) complaints.push(message.text());
});
page.on('pageerror', (error) => complaints.push(String(error)));
page.on('request', (request) => {
  if (!request.url().startsWith(service.url) && !/^(data|blob):/.test(request.url())) complaints.push(`left for ${request.url()}`);
});

let passed = 0;
let failed = 0;

async function step(name, run) {
  try {
    await run();
    assert.deepEqual(complaints, [], 'the console stays silent');
    passed += 1;
    console.log(`ok      ${name}`);
  } catch (error) {
    failed += 1;
    console.log(`FAILED  ${name}\n        ${String(error.message).split('\n').slice(0, 12).join('\n        ')}`);
    await page.screenshot({ path: `${SHOTS}failed-${failed}.png`, fullPage: true });
  }
  complaints.length = 0;
  provoked = false;
}

const button = (name) => page.getByRole('button', { name, exact: true });
const downloaded = async (link) => {
  const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
  return readFileSync(await download.path());
};
const sql = (text) => spawnSync('sqlite3', [database, text], { encoding: 'utf8' }).stdout.trim();
const go = async (path) => {
  await page.goto(service.url + path);
  await page.getByRole('heading', { level: 1 }).first().waitFor();
};
const settled = async () => {
  await page.waitForLoadState('networkidle').catch(() => undefined);
  await page.waitForFunction(() => document.querySelectorAll('[role=status][aria-label^=Loading]').length === 0);
};

async function axe() {
  await page.evaluate(axeSource);
  const found = await page.evaluate(() => globalThis.axe.run(document));
  const lines = found.violations.flatMap(({ id, nodes }) => nodes.slice(0, 3).map((node) => `${id}: ${node.html.slice(0, 160)}`));
  assert.deepEqual(lines, [], 'axe finds nothing');
}

await step('first set-up makes an administrator, saves the recovery kit and makes a first backup', async () => {
  provoked = true; // Nobody is signed in yet: the question who is answers 401.
  await page.goto(service.setupLink);
  await page.getByLabel('Your name').fill('ada');
  await page.getByRole('textbox', { name: 'Password', exact: true }).fill(PASSWORD);
  await page.getByRole('textbox', { name: 'Password again' }).fill(PASSWORD);
  await axe();
  await button('Make the administrator').click();
  const kit = await downloaded(page.getByRole('link', { name: 'Download the recovery kit' }));
  assert.match(kit.toString(), /[0-9a-f]{64}/, 'the kit holds the key');
  await page.getByLabel('I have saved it').check();
  await button('Go on').click();
  await button('Make the first backup').click();
  await page.getByText('The backup is stored').waitFor();
  await button('Go to the overview').click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});

await step('signing out, a wrong password, and signing in', async () => {
  provoked = true;
  await button('Sign out').click();
  await page.getByLabel('Name').fill('ada');
  await page.getByRole('textbox', { name: 'Password' }).fill('wrong password');
  await button('Sign in').click();
  await page.getByText('Wrong name or password').waitFor();
  await axe();
  await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
  await button('Sign in').click();
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
});

await step('a backup is made with a description and shows in the table', async () => {
  await go('/backups?create');
  await page.getByLabel('Description').fill('Before the spring release');
  await axe();
  await button('Start the backup').click();
  await page.getByText('The backup is stored').waitFor();
  await button('Close').last().click();
  await page.getByRole('table', { name: 'Backups' }).getByText('Before the spring release').waitFor();
});

await step('browse, search and download one file: the same bytes', async () => {
  await page.getByRole('row').filter({ hasText: 'Before the spring release' }).getByRole('link').click();
  await page.getByRole('heading', { name: 'Contents' }).waitFor();
  await button('config').click();
  const row = page.getByRole('row').filter({ hasText: 'package.json' });
  const bytes = await downloaded(row.getByRole('link'));
  assert.ok(bytes.equals(readFileSync(join(service.folder, 'package.json'))));
  await button('All components').click();
  await page.getByLabel('Search in this folder').fill('package-lock');
  await page.getByText('config/package-lock.json').waitFor();
  await settled();
  await axe();
});

await step('a drill proves the backup, and only then it is green', async () => {
  await button('Drill: prove that it restores').click();
  await page.getByText('and compared equal').waitFor();
  await page.locator('li[data-done=true][data-last=true]').waitFor();
  await page.screenshot({ path: `${SHOTS}backup.png`, fullPage: true });
});

await step('the whole backup is downloaded: the bytes that its hash names', async () => {
  const id = page.url().split('/').at(-1);
  const bytes = await downloaded(page.getByRole('link', { name: 'Download', exact: true }).first());
  const { sha256 } = (await (await context.request.get(`${service.url}/api/backup/${id}`)).json()).data;
  assert.equal(createHash('sha256').update(bytes).digest('hex'), sha256);
});

await step('a restore shows what would happen, wants the typed word, and is undone', async () => {
  const table = sql("select name from sqlite_master where type='table' and name not like 'sqlite_%' limit 1");
  const before = sql(`select count(*) from "${table}"`);
  sql(`pragma foreign_keys=off; delete from "${table}"`);
  const emptied = sql(`select count(*) from "${table}"`);
  assert.notEqual(before, emptied);
  await page.getByRole('main').getByRole('link', { name: 'Restore', exact: true }).click();
  await page.getByRole('table', { name: 'What would be replaced' }).waitFor();
  await page.screenshot({ path: `${SHOTS}restore-plan.png`, fullPage: true });
  await axe();
  assert.ok(await button('Restore now').isDisabled());
  await page.getByLabel('Type CONFIRM_RESTORE').fill('CONFIRM_RESTORE');
  await button('Restore now').click();
  await page.getByText('The restored data is live').waitFor();
  assert.equal(sql(`select count(*) from "${table}"`), before);
  await button('Undo').click();
  await page.getByText('from before the restore is live again').waitFor();
  assert.equal(sql(`select count(*) from "${table}"`), emptied);
});

await step('a failed backup is told, with what to do', async () => {
  renameSync(database, `${database}.away`);
  await go('/backups?create');
  await button('Start the backup').click();
  await page.getByText('Backup failed').waitFor();
  renameSync(`${database}.away`, database);
  assert.ok(existsSync(database));
  await go('/');
  await page.getByText('The last backup failed').waitFor();
  await settled();
  await axe();
  await page.screenshot({ path: `${SHOTS}overview-failed.png`, fullPage: true });
});

await step('schedules stop and start; an expression is read across a clock change', async () => {
  await go('/schedules');
  await button('Stop the schedules').click();
  await page.getByText('Nothing runs by itself').waitFor();
  await button('Start the schedules').click();
  await page.getByText('Next backup:').waitFor();
  await button('Change Daily backup').click();
  await page.getByLabel('Cron expression').fill('30 2 * * 1');
  await page.getByText('2:30').first().waitFor();
  await axe();
  await page.keyboard.press('Escape');
});

await step('retention shows the fate of each backup and why', async () => {
  await go('/retention');
  await page.getByRole('table', { name: 'Fate of each backup' }).waitFor();
  assert.ok((await page.getByText('Stays').count()) > 0);
});

await step('a token is made and shown once', async () => {
  await go('/settings/tokens');
  await page.getByLabel('What the token is for').fill('monitoring');
  await button('Make a token').click();
  await page.getByText('Copy the token now').waitFor();
  await page.getByRole('row').filter({ hasText: 'monitoring' }).waitFor();
});

await step('the audit log tells it all, filters and verifies', async () => {
  await go('/activity?show=audit');
  await page.getByLabel('What', { exact: true }).fill('token');
  await page.getByText('token.create').waitFor();
  await button('Verify the log').click();
  await page.getByText('The log is whole').waitFor();
});

await step('two people at once see each other’s backups', async () => {
  const other = await browser.newContext();
  const second = await other.newPage();
  await second.goto(`${service.url}/settings/backups`);
  await second.getByLabel('Name').fill('ada');
  await second.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
  await second.getByRole('button', { name: 'Sign in' }).click();
  await second.getByRole('heading', { name: 'Overview' }).or(second.getByRole('heading', { name: 'Backups' })).waitFor();
  await go('/backups?create');
  await page.getByLabel('Description').fill('Seen by both');
  await button('Start the backup').click();
  await page.getByText('The backup is stored').waitFor();
  await second.goto(`${service.url}/backups`);
  await second.getByText('Seen by both').waitFor();
  await other.close();
});

await step('addresses of the old systems lead to the right pages', async () => {
  await go('/frontend/backup.html');
  await page.getByRole('heading', { name: 'Overview' }).waitFor();
  await go('/settings/backups');
  await page.getByRole('heading', { name: 'Backups', exact: true, level: 1 }).waitFor();
});

for (const scheme of ['light', 'dark']) {
  for (const width of [360, 1280, 2560]) {
    await step(`every page is whole at ${width} px, ${scheme}, and axe finds nothing`, async () => {
      await page.emulateMedia({ colorScheme: scheme });
      await page.setViewportSize({ width, height: width === 360 ? 740 : 900 });
      for (const path of PAGES) {
        await go(path);
        await settled();
        const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        assert.ok(over <= 0, `${path} is ${over} px too wide`);
        await axe().catch((error) => assert.fail(`${path}: ${error.message}`));
        await page.screenshot({ path: `${SHOTS}${path.replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'overview'}-${width}-${scheme}.png`, fullPage: true });
      }
    });
  }
}

await browser.close();
service.stop();
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
