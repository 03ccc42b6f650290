import assert from 'node:assert/strict';
import { Application } from '../lib/service.js';
import { PASSWORD } from '../lib/harness.js';

/** So large that somebody can watch. */
const UPLOAD_BYTES = 700 << 20;

/** Work under way: its progress, and stopping it. On an application with much to back up. */
export async function running({ harness }) {
  const app = new Application();
  app.upload('film.mov', UPLOAD_BYTES);
  app.run(['user', 'add', 'ada', '--role', 'ADMIN'], { input: `${PASSWORD}\n` });
  // What the next backup has to do is known from the last.
  app.run(['backup', '--quiet']);
  const service = await app.serve();
  try {
    const ada = await harness.person(service);
    await ada.signIn('ada');
    await watch({ harness, ada });
    await look({ harness, ada });
    await cancel({ harness, ada });
    await ada.context.close();
  } finally {
    await service.stop();
    app.remove();
  }
}

async function watch({ harness, ada }) {
  const { page } = ada;
  await harness.step('a running backup shows its progress, live and advancing', ada, async () => {
    await ada.go('/backups?create');
    await page.getByLabel('Description').fill('The long one');
    await ada.button('Start the backup').click();
    const group = page.getByRole('group', { name: 'Backup under way' });
    await group.waitFor();
    // Everything that the bar shows until the backup is over.
    const seen = await page.evaluate(async () => {
      const steps = [];
      for (;;) {
        const bar = document.querySelector('[role=group][aria-label="Backup under way"] [role=progressbar]');
        if (!bar) return steps;
        const { textContent } = bar.closest('[role=group]');
        const step = { percent: Number(bar.getAttribute('aria-valuenow')), phase: bar.getAttribute('aria-label'), text: textContent };
        if (JSON.stringify(step) !== JSON.stringify(steps.at(-1))) steps.push(step);
        await new Promise((resolve) => setTimeout(resolve, 40));
      }
    });
    await page.getByText('The backup is stored').waitFor();
    const uploads = seen.filter(({ phase, text }) => /uploads/i.test(phase) && / of /.test(text));
    const percents = uploads.map(({ percent }) => percent);
    console.log(`        phases: ${[...new Set(seen.map(({ phase }) => phase))].join(', ')}; uploads at ${percents.join(', ')} %`);
    assert.ok(percents.some((percent) => percent > 0 && percent < 100), 'somewhere between the ends');
    assert.ok(new Set(percents).size >= 3, 'advancing');
    assert.deepEqual(percents, percents.toSorted((a, b) => a - b), 'never backwards');
  });
}

async function look({ harness, ada }) {
  const { page } = ada;
  await harness.step('work under way shows in the menu, and axe finds nothing', ada, async () => {
    await ada.go('/backups?create');
    await page.getByLabel('Description').fill('Looked at');
    await ada.button('Start the backup').click();
    await page.getByRole('group', { name: 'Backup under way' }).getByText(/ of /).waitFor();
    await ada.shot('progress', { fullPage: false });
    await ada.axe();
    await page.getByText('The backup is stored').waitFor();
  });
}

async function cancel({ harness, ada }) {
  const { page } = ada;
  await harness.step('a running backup shows everywhere, is cancelled, and leaves nothing behind', ada, async () => {
    const before = (await ada.api('/api/overview')).data;
    await ada.go('/backups?create');
    await page.getByLabel('Description').fill('Thought better of it');
    await ada.button('Start the backup').click();
    // At once, before it is done on a fast machine.
    await page.getByRole('group', { name: 'Backup under way' }).getByText(/ of /).waitFor();
    await ada.button('Cancel').click();
    await page.getByText('Backup was cancelled').waitFor();
    await ada.axe();
    await ada.button('Close').last().click();
    await page.locator('tbody tr:first-child').getByText('Cancelled').waitFor();
    const after = (await ada.api('/api/overview')).data;
    assert.equal(after.storedBytes, before.storedBytes, 'nothing lies in the store');
    await ada.go('/activity');
    await page.locator('tbody tr:first-child').getByText('Cancelled').waitFor();
  });
}
