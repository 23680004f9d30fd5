// Drives the page in a real browser: drive.mjs SCENARIO ADDRESS, settings in the environment, the observations as JSON
// on standard output. It observes; the Go test judges.
import { chromium } from './modules.mjs';
import { choose, kept, open, ready, run, schemaLoaded, text, type, watch } from './page.mjs';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking', '--disable-component-update',
  '--disable-sync', '--no-first-run',
];

/** A developer with everything filled in: looks at every example, runs two, reloads. */
async function dev(page, address) {
  await open(page, address);
  await schemaLoaded(page);
  const seen = { title: await page.title(), headers: await text(page, 'headers'), examples: {} };
  seen.answer = await run(page);
  await screenshot(page, 'start');
  const buttons = page.locator('[data-example]');
  const names = await buttons.evaluateAll((all) => all.map((button) => button.dataset.example));
  for (const name of names) seen.examples[name] = await choose(page, name);
  await choose(page, 'connect-account');
  seen.connected = await run(page);
  await screenshot(page, 'example');
  seen.tabs = await page.locator('.graphiql-tab').count();
  seen.consent = await page.locator('.tk-examples a').evaluateAll((all) => all.map((link) => link.href));
  seen.kept = await kept(page, 'ConnectAccount');
  await page.reload();
  await ready(page);
  seen.reloaded = { query: await text(page, 'query'), variables: await text(page, 'variables') };
  return seen;
}

/** A reader in production: meets the hint, types a key, which then serves a new tab too. */
async function production(page, address) {
  await open(page, address);
  await page.waitForSelector('.tk-examples');
  const seen = { hint: await text(page, 'headers'), panel: await page.isVisible('[data-example="who-am-i"]') };
  await screenshot(page, 'production');
  await type(page, 'headers', JSON.stringify({ Authorization: `Bearer ${process.env.KEY}` }));
  await schemaLoaded(page);
  await choose(page, 'list-providers');
  seen.headers = await text(page, 'headers');
  seen.answer = await run(page);
  seen.kept = await kept(page, 'ListProviders');
  return seen;
}

/** A developer back from the consent page. */
async function returned(page, address) {
  await open(page, `${address}?code=code_from_consent&state=s`);
  return { address: page.url(), query: await text(page, 'query'), variables: await text(page, 'variables') };
}

async function screenshot(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: `${process.env.SHOTS}/${name}.png` });
}

const [scenario, address] = process.argv.slice(2);
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: FLAGS });
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, colorScheme: process.env.SCHEME });
  page.setDefaultTimeout(20_000);
  const seen = await watch(page);
  const observed = await { dev, production, returned }[scenario](page, address);
  process.stdout.write(JSON.stringify({ ...seen, ...observed }));
} finally {
  await browser.close();
}
