import assert from 'node:assert/strict';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** On a live SQLite application: the plan, the typed word, the restore, the undo; and into another place. */
export async function restore({ harness, app, ada }) {
  const { page } = ada;
  const cell = (row, number) => page.getByRole('row').filter({ hasText: row }).getByRole('cell').nth(number);
  let good;

  await harness.step('the plan shows rows and files now against then, space and clients', ada, async () => {
    good = (await ada.job('/api/backup/create', { description: 'All is well' })).id;
    app.sql('pragma foreign_keys=off; delete from customers where id % 3 = 0');
    rmSync(join(app.folder, 'package-lock.json'));
    rmSync(join(app.uploads, 'customers'), { recursive: true });
    await ada.go('/restore');
    await page.getByLabel('Search').fill('all is well');
    await page.getByText('25', { exact: true }).waitFor({ state: 'detached' });
    await ada.button(`Choose backup ${good}`).click();
    await page.getByRole('table', { name: 'What would be replaced' }).waitFor();
    assert.match(await cell('database', 2).innerText(), /rows/);
    const [now, then] = [await cell('config', 2).innerText(), await cell('config', 3).innerText()];
    assert.match(now, /3 files, [1-9]\d* B/);
    assert.match(then, /4 files, [1-9]\d* B/);
    assert.match(await cell('database', 4).innerText(), /\d+ connected/);
    await page.getByText(/customers: \d+ rows now, \d+ in the backup/).waitFor();
    await page.getByText(/Needs .* of free space; there are/).waitFor();
    await ada.axe();
    await ada.shot('restore-plan');
  });

  await harness.step('a restore wants the typed word, puts everything back, and is undone', ada, async () => {
    const emptied = app.sql('select count(*) from customers');
    assert.ok(await ada.button('Restore now').isDisabled());
    await page.getByLabel('Type CONFIRM_RESTORE').fill('confirm_restore');
    assert.ok(await ada.button('Restore now').isDisabled(), 'not in small letters');
    await page.getByLabel('Type CONFIRM_RESTORE').fill('CONFIRM_RESTORE');
    await ada.button('Restore now').click();
    await page.getByText('The restored data is live').waitFor();
    await ada.axe();
    await ada.shot('restored');
    assert.equal(app.sql('select count(*) from customers'), '900');
    assert.ok(existsSync(join(app.uploads, 'customers/0001/offer-0.pdf')));
    assert.ok(existsSync(join(app.folder, 'package-lock.json')));
    await ada.button('Undo').first().click();
    await page.getByRole('dialog').getByText('What was live before that restore becomes live again').waitFor();
    await ada.axe();
    await ada.button('Undo it now').click();
    await page.getByText('from before the restore is live again').waitFor();
    assert.equal(app.sql('select count(*) from customers'), emptied);
    assert.ok(!existsSync(join(app.uploads, 'customers')));
    const { data } = await ada.api('/api/backup/cleanup');
    assert.equal(data.blocked ?? null, null, 'what was backed up before the restore is no collapse that somebody must look at');
  });

  await harness.step('undoing the undo brings the restored data back', ada, async () => {
    await ada.go('/restore');
    await ada.button('Redo').click();
    await ada.button('Redo it now').click();
    await page.getByText('The restored data is live again').waitFor();
    assert.equal(app.sql('select count(*) from customers'), '900');
  });

  await harness.step('one component is restored into another folder; the live data stays', ada, async () => {
    const elsewhere = join(app.root, 'elsewhere');
    const live = readFileSync(join(app.folder, 'package.json'));
    await ada.go(`/restore?backup=${good}`);
    for (const name of ['database', 'uploads', 'logs']) await page.getByRole('checkbox', { name }).uncheck();
    await page.getByRole('radio', { name: /Somewhere else/ }).check();
    await page.getByLabel('Folder or database').fill(elsewhere);
    await page.getByRole('table', { name: 'What would be replaced' }).waitFor();
    await ada.axe();
    await page.getByLabel('Type CONFIRM_RESTORE to restore there').fill('CONFIRM_RESTORE');
    await ada.button('Restore now').click();
    await page.getByText('Restored into the other place').waitFor();
    assert.ok(readFileSync(join(elsewhere, 'config/package.json')).equals(live));
  });

  await harness.step('a plan that cannot work is refused before anything is touched', ada, async () => {
    ada.provoked = true;
    await ada.go(`/restore?backup=${good}`);
    await page.getByRole('radio', { name: /Somewhere else/ }).check();
    await page.getByLabel('Folder or database').fill(app.folder);
    await page.getByText('Could not read what would happen').waitFor();
    await page.getByText(/not an? (new or )?empty|is not empty|new or empty/i).first().waitFor();
    assert.equal(await ada.button('Restore now').count(), 0);
    await ada.axe();
  });
}
