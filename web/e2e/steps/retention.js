import assert from 'node:assert/strict';

/** What would go, on a time line and with reasons; then it goes. After the pages were photographed. */
export async function retention({ harness, ada }) {
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
}
