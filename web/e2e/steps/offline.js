import assert from 'node:assert/strict';

/** The line breaks, and comes back. */
export async function offline({ harness, ada }) {
  const { page } = ada;

  await harness.step('without the service the page says so, keeps what it knew, and comes back by itself', ada, async () => {
    await ada.go('/');
    await ada.settled();
    ada.provoked = true;
    await ada.context.setOffline(true);
    await page.getByText('The service does not answer').first().waitFor();
    await page.getByText('What you see was true on').waitFor();
    assert.ok(await page.getByRole('heading', { name: 'Plan default' }).isVisible(), 'what was known stays');
    await ada.axe();
    await ada.shot('offline');
    await ada.context.setOffline(false);
    await page.getByText('The service does not answer').first().waitFor({ state: 'detached' });
  });

  await harness.step('a page that was never loaded says what to do, and tries again', ada, async () => {
    ada.provoked = true;
    await page.route('**/api/backups?*', (route) => route.abort());
    await ada.go('/backups');
    await page.getByText('Could not read the backups').waitFor();
    await ada.axe();
    await page.unroute('**/api/backups?*');
    await ada.button('Try again').click();
    await page.getByRole('table', { name: 'Backups' }).waitFor();
  });

  await harness.step('a change that does not get through says so, and nothing is lost', ada, async () => {
    await ada.go('/backups?create');
    await page.getByLabel('Description').fill('Typed with care');
    ada.provoked = true;
    await ada.context.setOffline(true);
    await ada.button('Start the backup').click();
    await page.getByRole('dialog').getByText('The service does not answer').waitFor();
    assert.equal(await page.getByLabel('Description').inputValue(), 'Typed with care');
    await ada.context.setOffline(false);
    await page.keyboard.press('Escape');
  });
}
