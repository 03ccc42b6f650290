import assert from 'node:assert/strict';

/** Start, stop, edit; read in plain words and across a clock change. The plans are in Berlin, the browser in London. */
export async function schedules({ harness, ada }) {
  const { page } = ada;

  await harness.step('schedules stop and start', ada, async () => {
    await ada.go('/schedules');
    await ada.button('Stop the schedules').click();
    await page.getByText('Nothing runs by itself').waitFor();
    assert.equal((await ada.api('/api/admin/scheduled-backups')).data.isRunning, false);
    await ada.go('/');
    await page.getByText('The schedules are stopped').first().waitFor();
    await ada.go('/schedules');
    await ada.axe();
    await ada.button('Start the schedules').click();
    await page.getByText('Next backup:').waitFor();
    assert.equal((await ada.api('/api/admin/scheduled-backups')).data.isRunning, true);
  });

  await harness.step('an expression is read in words, with its next ten runs across a clock change', ada, async () => {
    await ada.button('Change Daily backup of plan default').click();
    await page.getByLabel('Cron expression').fill('30 2 * * *');
    await page.getByText('Daily at 2:30 AM').waitFor();
    await page.getByRole('switch').check();
    const runs = page.getByRole('dialog').getByRole('listitem');
    await page.getByText(/GMT\+1|CET/).first().waitFor();
    await page.getByText(/GMT\+2|CEST/).first().waitFor();
    assert.equal(await runs.count(), 10);
    const offsets = await runs.evaluateAll((items) => items.map((item) => /GMT\+\d|CES?T/.exec(item.textContent)?.[0]));
    assert.equal(new Set(offsets).size, 2, `both sides of the change: ${offsets}`);
    await ada.axe();
    await ada.shot('schedule-edit', { fullPage: false });
  });

  await harness.step('a wrong expression says where it is wrong and cannot be saved', ada, async () => {
    ada.provoked = true;
    await page.getByLabel('Cron expression').fill('61 2 * * *');
    await page.getByRole('dialog').getByRole('alert').waitFor();
    assert.ok(await ada.button('Save').isDisabled());
    await ada.axe();
  });

  await harness.step('a saved expression shows on the page, survives, and goes back to the configured one', ada, async () => {
    await page.getByLabel('Cron expression').fill('15 3 * * 1-5');
    await page.getByRole('dialog').getByText('03:15').first().waitFor();
    await ada.button('Save').click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.getByText('15 3 * * 1-5').waitFor();
    await page.reload();
    const panel = page.getByRole('region', { name: 'Daily backup, plan default' });
    await panel.getByText('Set here.').waitFor();
    assert.equal(await panel.getByRole('listitem').count(), 10);
    await ada.button('Change Daily backup of plan default').click();
    await ada.button('As configured').click();
    await panel.getByText('As configured.').waitFor();
    await panel.getByText('0 2 * * *', { exact: true }).waitFor();
    await panel.getByText(/02:00 CES?T/).first().waitFor();
  });
}
