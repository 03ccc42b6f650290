import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axeSource = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
export const SHOTS = new URL('../screenshots/', import.meta.url).pathname;
export const PASSWORD = 'correct horse battery';
/** Long, because a busy machine is no failure; what passes does not wait for it. */
const PATIENCE_MS = 60_000;

rmSync(SHOTS, { recursive: true, force: true });
mkdirSync(SHOTS, { recursive: true });

/** A browser, the steps that ran in it, and what its pages complained about. */
export class Harness {
  passed = 0;
  failed = [];
  complaints = [];

  static async start() {
    const harness = new Harness();
    harness.browser = await chromium.launch({
      executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-background-networking', '--disable-dev-shm-usage'],
    });
    return harness;
  }

  /** A person's browser, looking at one service and at nothing else. */
  async person(service, options = {}) {
    const context = await this.browser.newContext({
      viewport: { width: 1280, height: 900 },
      locale: 'en-GB',
      timezoneId: 'Europe/London',
      acceptDownloads: true,
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(PATIENCE_MS);
    const person = new Person(this, service, context, page);
    person.listen();
    return person;
  }

  /** One thing that must work. Whatever it throws is reported, and the next step begins. */
  async step(name, person, run) {
    const began = Date.now();
    try {
      await run();
      assert.deepEqual(this.complaints, [], 'the console stays silent, and no other host is asked');
      this.passed += 1;
      console.log(`ok      ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
    } catch (error) {
      this.failed.push(name);
      const text = String(error?.stack ?? error).split('\n').slice(0, 16).join('\n        ');
      console.log(`FAILED  ${name}\n        ${text}`);
      // A page that cannot even be photographed must not keep the other steps from running.
      await person?.page
        .screenshot({ path: `${SHOTS}failed-${this.failed.length}.png`, timeout: PATIENCE_MS })
        .catch((reason) => console.log(`        (no screenshot: ${reason.message.split('\n')[0]})`));
    }
    this.complaints.length = 0;
    if (person) person.provoked = false;
  }

  async finish() {
    await this.browser.close();
    console.log(`${this.passed} passed, ${this.failed.length} failed`);
    for (const name of this.failed) console.log(`  failed: ${name}`);
    process.exitCode = this.failed.length > 0 || this.passed === 0 ? 1 : 0;
  }
}

/** Somebody who uses the dashboard. */
export class Person {
  /** Refusals that a step provokes show on the console as failed loads; everything else there is a fault. */
  provoked = false;

  constructor(harness, service, context, page) {
    Object.assign(this, { harness, service, context, page });
  }

  listen() {
    const { page, service } = this;
    const { complaints } = this.harness;
    page.on('console', (message) => {
      const load = message.text().startsWith('Failed to load resource');
      if (['error', 'warning'].includes(message.type()) && !(this.provoked && load)) complaints.push(message.text());
    });
    page.on('pageerror', (error) => complaints.push(String(error)));
    page.on('request', (request) => {
      const inside = request.url().startsWith(service.url) || /^(data|blob):/.test(request.url());
      if (!inside) complaints.push(`asked another host: ${request.url()}`);
    });
  }

  button(name) {
    return this.page.getByRole('button', { name, exact: true });
  }

  async go(path) {
    await this.page.goto(this.service.url + path);
    await this.page.getByRole('heading', { level: 1 }).first().waitFor();
  }

  /** Everything that was on its way is there. */
  async settled() {
    await this.page.waitForFunction(() => document.querySelectorAll('[role=status][aria-label^=Loading]').length === 0);
    await this.page.evaluate(() => document.fonts.ready.then(() => undefined));
  }

  async signIn(name, password = PASSWORD) {
    this.provoked = true; // Nobody is signed in yet: the question who is answers 401.
    await this.page.goto(`${this.service.url}/sign-in`);
    await this.page.getByLabel('Name').fill(name);
    await this.page.getByRole('textbox', { name: 'Password' }).fill(password);
    await this.button('Sign in').click();
    await this.button('Sign out').waitFor({ state: 'attached' });
    this.provoked = false;
  }

  async downloaded(link) {
    const [download] = await Promise.all([this.page.waitForEvent('download'), link.click()]);
    return readFileSync(await download.path());
  }

  /** What the API answers to this person, as the page itself would ask. */
  async api(path, method = 'GET', body = undefined) {
    const answer = await this.context.request.fetch(this.service.url + path, {
      method,
      data: body,
      headers: { origin: this.service.url },
    });
    return { status: answer.status(), ...(await answer.json()) };
  }

  /** Starts a job by the API and waits for its end. */
  async job(path, body = undefined) {
    const started = await this.api(path, 'POST', body);
    assert.equal(started.success, true, `${path}: ${JSON.stringify(started.error)}`);
    for (;;) {
      const { data } = await this.api(`/api/jobs/${started.data.id}`);
      if (!['queued', 'running'].includes(data.state)) return data;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async shot(name, options = {}) {
    await this.page.screenshot({ path: `${SHOTS}${name}.png`, fullPage: true, animations: 'disabled', ...options });
  }

  async axe() {
    await this.page.evaluate(axeSource);
    const lines = await this.page.evaluate(async () => {
      const { violations } = await globalThis.axe.run(document);
      return violations.flatMap(({ id, nodes }) => nodes.slice(0, 3).map((node) => `${id}: ${node.html.slice(0, 160)}`));
    });
    assert.deepEqual(lines, [], 'axe finds nothing');
  }
}
