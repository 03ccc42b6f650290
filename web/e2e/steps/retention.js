import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What would go, on a time line and with reasons; then it goes. After the pages were photographed. */
export async function retention({ harness, app, ada }) {
  const { page } = ada;

  await harness.step('retention shows on a time line what would go, and why', ada, async () => {
    await ada.go('/retention');
    const fates = page.getByRole('table', { name: 'Fate of each backup' });
    const { data } = await ada.api('/api/backup/cleanup');
    const going = data.backups.filter(({ keep }) => !keep);
    assert.ok(going.length >= 15, `${going.length} would go`);
    assert.equal(await fates.getByText('Goes').count(), going.length);
    assert.equal(await page.locator('circle[data-keep=false]').count(), going.length);
    assert.equal(await page.locator('circle').count(), data.backups.length);
    await fates.getByText(going[0].reason).first().waitFor();
    await page.getByText(`A cleanup would remove ${going.length} backups`).waitFor();
    await ada.shot('retention', { fullPage: false });
  });

  await harness.step('a cleanup lists what goes, removes exactly that, and says how much room it made', ada, async () => {
    const before = (await ada.api('/api/backup/cleanup')).data;
    const going = before.backups.filter(({ keep }) => !keep).map(({ id }) => id);
    await ada.button('Clean up now').click();
    await page.getByRole('dialog').getByText('This cannot be undone').waitFor();
    assert.equal(await page.getByRole('dialog').getByRole('listitem').count(), going.length);
    await ada.axe();
    await ada.button(`Remove ${going.length} backups`).click();
    await page.getByText(`Removed ${going.length} backups`).waitFor();
    await page.getByText('A cleanup would remove nothing now').waitFor();
    await ada.axe();
    const after = (await ada.api('/api/backup/cleanup')).data.backups.map(({ id }) => id);
    const stayed = before.backups.filter(({ keep }) => keep).map(({ id }) => id);
    assert.deepEqual(after.toSorted(), stayed.toSorted());
    assert.ok(await ada.button('Clean up now').isDisabled());
  });

  await harness.step('what a repository holds unused is said, and noted before it is removed', ada, async () => {
    const backup = () => JSON.parse(app.run(['backup', '--format', 'repository', '--json']));
    const large = join(app.uploads, 'large.bin');
    backup();
    writeFileSync(large, randomBytes(3 << 20));
    const { id } = backup();
    rmSync(large);
    app.run(['delete', id, '--force']);
    await ada.go('/retention');
    await page.getByText(/^3\.0 MiB in the repository are used by no backup/).waitFor();
    await ada.shot('retention-repository', { fullPage: false });
    await ada.button('Clean up now').click();
    await ada.axe();
    await ada.button('Clean up').click();
    await page.getByText('they are noted, and the first cleanup a day later removes them').waitFor();
    await ada.axe();
  });
}
