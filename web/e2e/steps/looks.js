import assert from 'node:assert/strict';
import { SHOTS } from '../lib/harness.js';

const PAGES = [
  '/', '/backups', '/restore', '/schedules', '/retention', '/activity', '/activity?show=audit', '/settings/components',
  '/settings/stores', '/settings/notifications', '/settings/account', '/settings/people', '/settings/tokens', '/settings/keys',
  '/settings/configuration',
];
const name = (path) => path.replace(/\W+/g, '-').replace(/^-|-$/g, '') || 'overview';

/** Every page at every width, light and dark. */
export async function looks({ harness, ada }) {
  const { page } = ada;
  let details = [];
  await harness.step('a backup of everything is there to look at', ada, async () => {
    const { data } = await ada.api('/api/backup/latest');
    await ada.job(`/api/backup/${data.id}/drill`);
    details = [`/backups/${data.id}`, `/restore?backup=${data.id}`];
  });
  for (const scheme of ['light', 'dark']) {
    for (const width of [360, 1280, 2560]) {
      await harness.step(`every page is whole at ${width} px, ${scheme}, and axe finds nothing`, ada, async () => {
        await page.emulateMedia({ colorScheme: scheme });
        await page.setViewportSize({ width, height: width === 360 ? 740 : 900 });
        for (const path of [...PAGES, ...details]) {
          await ada.go(path);
          await ada.settled();
          const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
          assert.ok(over <= 0, `${path} is ${over} px too wide`);
          await ada.axe().catch((error) => assert.fail(`${path}: ${error.message}`));
          const file = path.startsWith('/backups/') ? 'details' : path.startsWith('/restore?') ? 'restore-chosen' : name(path);
          await page.screenshot({ path: `${SHOTS}${file}-${width}-${scheme}.png`, fullPage: true, animations: 'disabled' });
        }
      });
    }
  }
  await page.emulateMedia({ colorScheme: 'light' });
  await page.setViewportSize({ width: 1280, height: 900 });

  await harness.step('the menu opens on a narrow screen, and the keyboard reaches the page past it', ada, async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    await ada.go('/');
    await ada.button('Open the menu').click();
    await ada.axe();
    await ada.shot('menu-360', { fullPage: false });
    await page.getByRole('link', { name: 'Schedules' }).click();
    await page.getByRole('heading', { name: 'Schedules', level: 1 }).waitFor();
    await page.setViewportSize({ width: 1280, height: 900 });
    await ada.go('/');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Skip to the page');
    await page.keyboard.press('Enter');
    assert.equal(await page.evaluate(() => location.hash), '#main');
    await page.keyboard.press('Tab');
    assert.ok(await page.evaluate(() => document.getElementById('main').contains(document.activeElement)));
  });
}
