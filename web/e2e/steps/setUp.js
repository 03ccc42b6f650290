import assert from 'node:assert/strict';
import { PASSWORD } from '../lib/harness.js';

/** From a new service to an administrator with a first backup. */
export async function setUp(harness, ada) {
  const { page, service } = ada;

  await harness.step('first set-up makes an administrator, saves the recovery kit and makes a first backup', ada, async () => {
    ada.provoked = true; // Nobody is signed in yet: the question who is answers 401.
    await page.goto(service.setupLink);
    await page.getByLabel('Your name').fill('ada');
    await page.getByRole('textbox', { name: 'Password', exact: true }).fill(PASSWORD);
    await page.getByRole('textbox', { name: 'Password again' }).fill(PASSWORD);
    await ada.axe();
    await ada.shot('set-up');
    await ada.button('Make the administrator').click();
    const kit = await ada.downloaded(page.getByRole('link', { name: 'Download the recovery kit' }));
    assert.match(kit.toString(), /[0-9a-f]{64}/, 'the kit holds the key');
    assert.ok(await ada.button('Go on').isDisabled(), 'nobody goes on without the kit');
    await page.getByLabel('I have saved it').check();
    await ada.axe();
    await ada.button('Go on').click();
    await ada.button('Make the first backup').click();
    await page.getByText('The backup is stored').waitFor();
    await ada.axe();
    await ada.button('Go to the overview').click();
    await page.getByRole('heading', { name: 'Overview' }).waitFor();
  });

  await harness.step('signing out, a wrong password, and signing in to the page that was asked for', ada, async () => {
    ada.provoked = true;
    await ada.button('Sign out').click();
    await page.getByLabel('Name').waitFor();
    await page.goto(`${service.url}/retention`);
    await page.getByLabel('Name').fill('ada');
    await page.getByRole('textbox', { name: 'Password' }).fill('wrong password');
    await ada.button('Sign in').click();
    await page.getByText('Wrong name or password').waitFor();
    await ada.axe();
    await ada.shot('sign-in');
    await page.getByRole('textbox', { name: 'Password' }).fill(PASSWORD);
    await ada.button('Sign in').click();
    await page.getByRole('heading', { name: 'Retention', level: 1 }).waitFor();
  });

  await harness.step('the first load is under 250 KiB, from one host, under a strict policy', ada, async () => {
    // A browser that has nothing yet, signed in by Ada's cookie.
    const context = await harness.browser.newContext({ storageState: await ada.context.storageState() });
    const fresh = await context.newPage();
    const wire = await context.newCDPSession(fresh);
    await wire.send('Network.enable');
    let bytes = 0;
    const hosts = new Set();
    wire.on('Network.loadingFinished', ({ encodedDataLength }) => (bytes += encodedDataLength));
    fresh.on('request', (request) => hosts.add(new URL(request.url()).origin));
    const answer = await fresh.goto(`${service.url}/`);
    await fresh.getByRole('heading', { name: 'Overview' }).waitFor();
    await fresh.getByText('Storage used').first().waitFor();
    await fresh.waitForLoadState('networkidle');
    console.log(`        first load: ${(bytes / 1024).toFixed(0)} KiB`);
    assert.ok(bytes > 10_000 && bytes < 250 * 1024, `${bytes} bytes`);
    assert.deepEqual([...hosts], [service.url]);
    const policy = answer.headers()['content-security-policy'];
    for (const part of ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(part), policy);
    }
    assert.ok(!/unsafe-/.test(policy), policy);
    await context.close();
  });
}
