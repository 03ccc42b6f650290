import assert from 'node:assert/strict';
import { PASSWORD } from '../lib/harness.js';

const READABLE = ['/', '/backups', '/restore', '/schedules', '/retention', '/activity', '/activity?show=audit', '/settings/components', '/settings/stores', '/settings/notifications', '/settings/account'];
/** Words on buttons that change something. */
const CHANGING = /back up|restore now|choose backup|undo|drill|^verify$|^pin$|unpin|delete|clean up|start the|stop the|^change (?!the password)|revoke|make a token|^add$|remove|^test|send a test|read the configuration|this is right|^cancel$/i;

/** Somebody who may look only, and what an administrator does with them. */
export async function people({ harness, service, ada }) {
  const { page } = ada;
  let bob;

  await harness.step('an administrator adds a viewer', ada, async () => {
    await ada.go('/settings/people');
    await page.getByLabel('Name').fill('bob');
    await page.getByLabel('Password, at least 10 characters').fill(PASSWORD);
    await ada.button('Add').click();
    await page.getByRole('row').filter({ hasText: 'bob' }).getByText('Viewer').waitFor();
    await ada.axe();
    bob = await harness.person(service);
    await bob.signIn('bob');
  });

  await harness.step('a viewer sees everything and is offered nothing that would be refused', ada, async () => {
    await bob.page.getByText('bob, may look only').waitFor();
    const { data } = await ada.api('/api/backup/latest');
    for (const path of [...READABLE, `/backups/${data.id}`]) {
      await bob.go(path);
      await bob.settled();
      assert.equal(await bob.page.getByText('Could not read').count(), 0, `${path} is readable`);
      const offered = await bob.page.getByRole('button').or(bob.page.getByRole('main').getByRole('link')).evaluateAll((found) =>
        found.filter((one) => !one.disabled).map((one) => (one.getAttribute('aria-label') ?? one.textContent).trim()),
      );
      assert.deepEqual(offered.filter((words) => CHANGING.test(words)), [], path);
      await bob.axe();
    }
    await bob.go('/restore');
    await bob.page.getByText('Only administrators restore').waitFor();
    await bob.go('/settings/tokens');
    await bob.page.getByText('Only administrators see tokens').waitFor();
    await bob.shot('viewer');
  });

  await harness.step('whatever a viewer asks for by hand is refused', ada, async () => {
    const { data } = await ada.api('/api/backup/latest');
    const asked = [
      ['/api/backup/create', 'POST'],
      ['/api/backup/cleanup', 'POST'],
      [`/api/backup/${data.id}`, 'DELETE'],
      [`/api/backup/${data.id}/drill`, 'POST'],
      [`/api/backup/${data.id}/pin`, 'PUT'],
      ['/api/schedules/stop', 'POST'],
      ['/api/users', 'GET'],
      ['/api/tokens', 'GET'],
    ];
    for (const [path, method] of asked) {
      const answer = await bob.api(path, method);
      assert.deepEqual([answer.status, answer.success], [403, false], `${method} ${path}`);
    }
  });

  await harness.step('a viewer changes their own password', ada, async () => {
    await bob.go('/settings/account');
    bob.provoked = true;
    await bob.page.getByLabel('Password until now').fill('not this one');
    await bob.page.getByLabel('New password, at least 10 characters').fill('another long phrase');
    await bob.button('Change the password').click();
    await bob.page.getByRole('main').getByRole('alert').waitFor();
    bob.provoked = false;
    await bob.page.getByLabel('Password until now').fill(PASSWORD);
    await bob.button('Change the password').click();
    await bob.page.getByText('The password is changed').waitFor();
  });

  await harness.step('a viewer becomes an administrator, and is one after signing in again', ada, async () => {
    await ada.go('/settings/people');
    await ada.button('Change bob').click();
    await page.getByRole('combobox', { name: 'New role' }).click();
    await page.getByRole('option', { name: /Administrator/ }).click();
    await ada.axe();
    await ada.button('Save').click();
    await page.getByRole('row').filter({ hasText: 'bob' }).getByText('Administrator').waitFor();
    bob.provoked = true;
    await bob.page.goto(`${service.url}/backups`);
    await bob.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await bob.signIn('bob', 'another long phrase');
    await bob.go('/backups');
    await bob.button('Back up now').waitFor();
  });

  await harness.step('a new password signs them out; with it they are in again', ada, async () => {
    await ada.button('Change bob').click();
    await page.getByLabel('New password').fill('given by the administrator');
    await ada.button('Save').click();
    await page.getByText('bob is changed').last().waitFor();
    bob.provoked = true;
    await bob.page.goto(`${service.url}/backups`);
    await bob.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await bob.signIn('bob', 'given by the administrator');
    await bob.button('Back up now').waitFor();
  });

  await harness.step('the last administrator stays; everybody else can be removed', ada, async () => {
    await ada.button('Remove bob').click();
    await page.getByRole('dialog').getByText('signed out everywhere').waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('row').filter({ hasText: 'bob' }).waitFor({ state: 'detached' });
    bob.provoked = true;
    await bob.page.goto(`${service.url}/`);
    await bob.page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await bob.context.close();
    ada.provoked = true;
    await ada.button('Remove ada').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    await page.getByRole('dialog').getByText(/last administrator/i).first().waitFor();
    await ada.button('Keep everything as it is').click();
  });
}
