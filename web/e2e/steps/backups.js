import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const WORDS = 'Before the spring release';

/** The table, one backup's details, its content, and what can be done with it. */
export async function backups({ harness, service, app, ada }) {
  const { page } = ada;
  const table = page.getByRole('table', { name: 'Backups' });
  const made = () => page.getByRole('row').filter({ hasText: WORDS });

  await harness.step('a backup is made with a description and shows in the table', ada, async () => {
    await ada.go('/backups?create');
    await page.getByLabel('Description').fill(WORDS);
    await ada.axe();
    await ada.button('Start the backup').click();
    await page.getByText('The backup is stored').waitFor();
    await ada.button('Close').last().click();
    await made().waitFor();
  });

  await harness.step('the table sorts, filters and searches over all pages', ada, async () => {
    await ada.go('/backups');
    const { data } = await ada.api('/api/backups?limit=500');
    assert.ok(data.total > 30, `${data.total} backups`);
    await page.getByText(`${data.total} backups`).waitFor();
    const largest = data.backups.toSorted((a, b) => (b.bytes ?? 0) - (a.bytes ?? 0))[0];
    await table.getByRole('button', { name: 'Size' }).click();
    await table.locator(`tbody tr:first-child a[href$="${largest.id}"]`).waitFor();
    await table.getByRole('button', { name: 'Size' }).click();
    await table.locator('[aria-sort=ascending]').filter({ hasText: 'Size' }).waitFor();
    await table.getByRole('button', { name: 'Made' }).click();
    await table.getByRole('button', { name: 'Made' }).click();
    const oldest = data.backups.toSorted((a, b) => a.startedAt.localeCompare(b.startedAt))[0];
    await table.locator(`tbody tr:first-child a[href$="${oldest.id}"]`).waitFor();
    await page.getByLabel('Search').fill('SPRING rel');
    await page.getByText('1 backup', { exact: true }).waitFor();
    await made().waitFor();
    await page.getByLabel('Search').fill('no such words');
    await page.getByText('No backup fits').waitFor();
    await ada.axe();
    await page.getByLabel('Search').fill('');
    await page.getByRole('combobox', { name: 'Tier' }).click();
    await page.getByRole('option', { name: 'Weekly' }).click();
    await page.getByText('4 backups', { exact: true }).waitFor();
    await ada.axe();
  });

  await harness.step('one by one, pages of the table join', ada, async () => {
    // Pages of seven, as if there were thousands of backups.
    await page.route('**/api/backups?*', (route) => route.continue({ url: route.request().url().replace(/limit=\d+/, 'limit=7') }));
    await ada.go('/backups');
    const { data } = await ada.api('/api/backups?limit=500');
    await table.getByRole('button', { name: 'Took' }).click();
    const more = ada.button('Show more');
    for (let shown = 7; shown < data.total; shown += 7) {
      await page.getByText(`${shown} of ${data.total} backups`).waitFor();
      await more.click();
    }
    await page.getByText(`${data.total} backups`, { exact: true }).waitFor();
    const ids = await table.locator('tbody a').evaluateAll((links) => links.map((link) => link.href.split('/').at(-1)));
    assert.deepEqual(ids.toSorted(), data.backups.map(({ id }) => id).toSorted(), 'each once');
    await page.unroute('**/api/backups?*');
  });

  await harness.step('a name is searched for, and one file is downloaded: the same bytes', ada, async () => {
    await ada.go('/backups');
    await made().getByRole('link').click();
    await page.getByRole('heading', { name: 'Contents' }).waitFor();
    await ada.button('config').click();
    const row = page.getByRole('row').filter({ hasText: 'package.json' });
    const bytes = await ada.downloaded(row.getByRole('link'));
    assert.ok(bytes.equals(readFileSync(join(app.folder, 'package.json'))));
    await ada.button('All components').click();
    await page.getByLabel('Search in this folder').fill('müller');
    const offer = page.getByRole('row').filter({ hasText: 'uploads/Angebot Müller & Söhne (final) 2.pdf' });
    const pdf = await ada.downloaded(offer.getByRole('link'));
    assert.ok(pdf.equals(readFileSync(join(app.uploads, 'Angebot Müller & Söhne (final) 2.pdf'))));
    await page.getByLabel('Search in this folder').fill('latin1');
    const odd = page.getByRole('row').filter({ hasText: 'latin1' });
    assert.equal((await ada.downloaded(odd.getByRole('link'))).toString(), 'not UTF-8\n');
    await page.getByLabel('Search in this folder').fill('no such name');
    await page.getByText('No name fits').waitFor();
    await ada.settled();
    await ada.axe();
  });

  await harness.step('the manifest tells rows and hashes of each table, files and bytes of each tree', ada, async () => {
    const rows = app.sql('select count(*) from customers');
    const table = page.getByRole('table', { name: 'Tables of database' });
    const line = table.getByRole('row').filter({ has: page.getByRole('cell', { name: 'customers', exact: true }) });
    assert.equal((await line.getByRole('cell').nth(1).innerText()).replace(/\D/g, ''), rows);
    assert.match(await line.getByRole('cell').nth(2).innerText(), /^[0-9a-f]{16}…$/);
    const trees = page.getByRole('table', { name: 'File trees' });
    assert.equal(await trees.getByRole('row').filter({ hasText: 'config' }).getByRole('cell').nth(1).innerText(), '4');
    await ada.button('Show the whole manifest').click();
    await page.getByText('"strongroom-manifest"').waitFor();
    await ada.axe();
    await ada.button('Hide the whole manifest').click();
  });

  await harness.step('a drill proves the backup, and only then it is green', ada, async () => {
    assert.equal(await page.locator('li[data-done=true][data-last=true]').count(), 0, 'not proven before');
    await ada.button('Drill: prove that it restores').click();
    await page.getByText('and compared equal').waitFor();
    await page.locator('li[data-done=true][data-last=true]').waitFor();
    await ada.axe();
    await ada.shot('backup', { fullPage: false });
  });

  await harness.step('a verification reads everything back', ada, async () => {
    await page.reload();
    await ada.button('Verify').click();
    await page.getByText('Everything is as it was written').waitFor();
    await ada.axe();
  });

  await harness.step('the whole backup is downloaded: the bytes that its hash names', ada, async () => {
    const id = page.url().split('/').at(-1);
    const bytes = await ada.downloaded(page.getByRole('link', { name: 'Download', exact: true }).first());
    const { data } = await ada.api(`/api/backup/${id}`);
    assert.equal(createHash('sha256').update(bytes).digest('hex'), data.sha256);
  });

  await harness.step('a pinned backup is not deleted; an unpinned one goes after a question', ada, async () => {
    const job = await ada.job('/api/backup/create', { description: 'To be deleted' });
    await ada.job('/api/backup/create', { description: 'The one after it' });
    await ada.go(`/backups/${job.id}`);
    await ada.button('Pin').click();
    await page.getByText('Yes: retention never removes it').waitFor();
    await ada.button('Delete').click();
    ada.provoked = true;
    await page.getByText('This cannot be undone').waitFor();
    await ada.axe();
    await ada.button('Delete the backup').click();
    await page.getByRole('dialog').getByText(/pinned/i).first().waitFor();
    await ada.button('Keep everything as it is').click();
    await ada.button('Unpin').click();
    await ada.button('Pin').waitFor();
    await ada.button('Delete').click();
    await ada.button('Delete the backup').click();
    await page.getByRole('heading', { name: 'Backups', level: 1 }).waitFor();
    await page.getByText(`Backup ${job.id} is deleted`).waitFor();
    assert.equal((await ada.api(`/api/backup/${job.id}`)).status, 404);
  });

  await harness.step('the newest good backup of a plan is not deleted, and the page says why', ada, async () => {
    const { data } = await ada.api('/api/backup/latest');
    await ada.go(`/backups/${data.id}`);
    ada.provoked = true;
    await ada.button('Delete').click();
    await ada.button('Delete the backup').click();
    await page.getByRole('dialog').getByText(/newest good backup/i).first().waitFor();
    await ada.shot('delete-refused', { fullPage: false });
    await ada.button('Keep everything as it is').click();
    assert.equal((await ada.api(`/api/backup/${data.id}`)).status, 200);
  });

  await harness.step('two people at once see each other’s backups without loading the page anew', ada, async () => {
    const grace = await harness.person(service, { timezoneId: 'America/New_York', locale: 'en-US' });
    await grace.signIn('ada');
    await grace.go('/backups');
    await ada.go('/backups?create');
    await page.getByLabel('Description').fill('Seen by both');
    await ada.button('Start the backup').click();
    await page.getByText('The backup is stored').waitFor();
    await grace.page.getByText('Seen by both').waitFor();
    await grace.context.close();
  });

  await harness.step('addresses of the old systems lead to the right pages', ada, async () => {
    await ada.go('/frontend/backup.html');
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
    assert.equal(new URL(page.url()).pathname, '/');
    await ada.go('/settings/backups');
    await page.getByRole('heading', { name: 'Backups', exact: true, level: 1 }).waitFor();
    for (const what of ['Stop the schedules', 'Back up now']) await ada.button(what).waitFor();
    await made().first().waitFor();
    await ada.go('/nowhere');
    await page.getByRole('heading', { level: 1 }).waitFor();
    await ada.axe();
  });
}
