import assert from 'node:assert/strict';
import { withoutDatabase } from '../lib/world.js';

/** A backup that failed, and one that is suspiciously small. */
export async function trouble({ harness, app, mail, ada }) {
  const { page } = ada;
  let id;

  await harness.step('a failed backup is told where it was asked for, with what to do', ada, async () => {
    const mails = mail.mails.length;
    await withoutDatabase(app, async () => {
      await ada.go('/backups?create');
      await ada.button('Start the backup').click();
      await page.getByText('Backup failed').waitFor();
      await ada.axe();
      await ada.shot('backup-failed', { fullPage: false });
      await page.getByRole('link', { name: 'Show the backup' }).click();
    });
    id = page.url().split('/').at(-1);
    await page.getByText('Nothing was stored').waitFor();
    await ada.axe();
    while (mail.mails.length === mails) await new Promise((resolve) => setTimeout(resolve, 100));
    assert.match(mail.mails.at(-1), /Subject: .*[Ff]ail/);
  });

  await harness.step('overview, table and activity say that it failed, and since when there is a good one', ada, async () => {
    await ada.go('/');
    await page.getByText('The last backup failed').waitFor();
    await page.getByText('This plan has no backup yet').waitFor();
    await ada.settled();
    await ada.axe();
    await ada.shot('overview-failed');
    await ada.go('/backups');
    await page.locator(`tbody tr:first-child a[href$="${id}"]`).waitFor();
    await page.locator('tbody tr:first-child').getByText('Failed', { exact: true }).waitFor();
    await ada.go('/activity');
    await page.locator('tbody tr:first-child').getByText('Failed', { exact: true }).waitFor();
    await page.locator('tbody tr:first-child').getByText(/prisma\/dev\.db/).waitFor();
    await ada.axe();
  });

  await harness.step('a plan without any backup is made good from its card, and the overview turns', ada, async () => {
    await ada.go('/');
    await page.getByRole('link', { name: 'Back up ledger now' }).click();
    await ada.button('Start the backup').click();
    await page.getByText('The backup is stored').waitFor();
    await ada.job('/api/backup/create');
    await ada.go('/');
    await page.getByText('Backed up; not yet all of it proven to restore').waitFor();
    for (const plan of ['default', 'ledger']) {
      const { data } = await ada.api(`/api/backups?plan=${plan}&state=succeeded&limit=1`);
      await ada.job(`/api/backup/${data.backups[0].id}/drill`);
    }
    await ada.go('/');
    await page.getByText('Everything is protected, and proven to restore').waitFor();
    await ada.settled();
    await ada.axe();
    await ada.shot('overview-proven');
  });

  await harness.step('a collapse is told, keeps older backups, and is acknowledged', ada, async () => {
    app.sql('pragma foreign_keys=off; delete from customers; delete from orders');
    const job = await ada.job('/api/backup/create', { description: 'After the accident' });
    await ada.go('/retention');
    await page.getByText('Much smaller than its predecessor: backup').waitFor();
    await ada.axe();
    await ada.go(`/backups/${job.id}`);
    await page.getByText('Much smaller than the backup before it').waitFor();
    await ada.axe();
    await ada.shot('collapse');
    await ada.button('This is right').click();
    await page.getByText('Much smaller than the backup before it').waitFor({ state: 'detached' });
    assert.equal((await ada.api(`/api/backup/${job.id}`)).data.collapsed.acknowledged, true);
    await ada.go('/retention');
    await page.getByRole('table', { name: 'Fate of each backup' }).waitFor();
    assert.equal(await page.getByText('Much smaller than its predecessor: backup').count(), 0);
  });
}
