import assert from 'node:assert/strict';

/** What is protected, stores, notifications, tokens, keys, configuration, audit. */
export async function settings({ harness, app, mail, hook, ada }) {
  const { page } = ada;

  await harness.step('components, plans and stores stand as the configuration has them', ada, async () => {
    await ada.go('/settings');
    await page.getByRole('table', { name: 'Components' }).getByText('SQLite database').waitFor();
    await page.getByRole('table', { name: 'Plans' }).getByText('JSON archive').waitFor();
    await page.getByRole('tab', { name: 'Stores' }).click();
    const archives = page.getByRole('region', { name: 'Archives' });
    await archives.getByText(`${app.folder}/backups`, { exact: true }).waitFor();
    await archives.getByText('Encrypted').waitFor();
    await archives.getByText(/ free of /).waitFor();
  });

  await harness.step('each channel is tested, and the test arrives', ada, async () => {
    await ada.go('/settings/notifications');
    const [mails, posts] = [mail.mails.length, hook.bodies.length];
    await ada.button('Test chat').click();
    await page.getByText('The test to chat was taken').waitFor();
    assert.equal(hook.bodies.length, posts + 1);
    assert.equal(await page.getByText('secret-path').count(), 0, 'the address of a web hook is a secret');
    await ada.button('Send a test e-mail').click();
    await page.getByText('The test to email was taken').waitFor();
    assert.ok(mail.mails.length > mails);
    assert.match(mail.mails.at(-1), /To: .*admin@example\.com/);
    await ada.axe();
  });

  await harness.step('a test that cannot arrive says so', ada, async () => {
    hook.away = true;
    ada.provoked = true;
    await ada.button('Test chat').click();
    await page.getByRole('alert').getByText(/127\.0\.0\.1|refused|reach|connect/i).first().waitFor();
    hook.away = false;
    await ada.axe();
  });

  await harness.step('a token is made, shown once, works, and is revoked', ada, async () => {
    await ada.go('/settings/tokens');
    await page.getByLabel('What the token is for').fill('monitoring');
    await ada.button('Make a token').click();
    await page.getByText('Copy the token now').waitFor();
    await ada.axe();
    const token = (await page.getByRole('alert').locator('pre').innerText()).trim();
    const ask = async () => (await fetch(`${ada.service.url}/api/overview`, { headers: { authorization: `Bearer ${token}` } })).status;
    assert.equal(await ask(), 200);
    await page.reload();
    await page.getByRole('row').filter({ hasText: 'monitoring' }).waitFor();
    assert.equal(await page.getByText(token).count(), 0, 'shown once');
    await ada.button('Revoke monitoring').click();
    await page.getByRole('dialog').getByText('refused from now on').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
    await page.getByText('There is no token yet').waitFor();
    assert.equal(await ask(), 401);
  });

  await harness.step('fingerprints of keys and the recovery kit, never a key on the page', ada, async () => {
    await ada.go('/settings/keys');
    const kit = await ada.downloaded(page.getByRole('link', { name: 'Download the recovery kit' }));
    const key = /[0-9a-f]{64}/.exec(kit.toString())[0];
    const { data } = await ada.api('/api/settings');
    await page.getByText(data.keyFingerprint).waitFor();
    assert.ok(!(await page.content()).includes(key));
  });

  await harness.step('every setting says where it came from; the configuration is read again', ada, async () => {
    await ada.go('/settings/configuration');
    await page.getByLabel('Search').fill('retention.daily');
    await page.getByRole('row').filter({ hasText: 'retention.daily' }).getByText(/\.env/).waitFor();
    await ada.button('Read the configuration again').click();
    await page.getByText('The configuration was read again').waitFor();
  });

  await harness.step('the audit log tells it all, filters and verifies', ada, async () => {
    await ada.go('/activity?show=audit');
    await page.getByLabel('What', { exact: true }).fill('token');
    await page.getByText('token.revoke').waitFor();
    await page.getByText('token.create').waitFor();
    await page.getByLabel('What', { exact: true }).fill('');
    await page.getByRole('combobox', { name: 'Outcome' }).click();
    await page.getByRole('option', { name: 'Refused' }).click();
    await page.getByRole('table', { name: 'Audit log' }).getByText('Refused').first().waitFor();
    await ada.button('Verify the log').click();
    await page.getByText('The log is whole').waitFor();
    await ada.axe();
  });
}
