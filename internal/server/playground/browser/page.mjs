// What a reader does with the page, and what is watched meanwhile.

const EDITORS = {
  query: '.graphiql-query-editor .CodeMirror',
  variables: '.graphiql-editor-tool > :first-child .CodeMirror',
  headers: '.graphiql-editor-tool > :last-child .CodeMirror',
  response: '.result-window .CodeMirror',
};

/** Records violations of the policy, messages of the console and every address that is asked for. */
export async function watch(page) {
  const seen = { violations: [], messages: [], addresses: [] };
  await page.exposeFunction('reportViolation', (text) => seen.violations.push(text));
  await page.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) =>
      window.reportViolation(`${event.violatedDirective}: ${event.blockedURI} ${event.sample}`),
    );
  });
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) seen.messages.push(message.text());
  });
  page.on('pageerror', (error) => seen.messages.push(String(error)));
  page.on('request', (request) => seen.addresses.push(request.url()));
  page.on('websocket', (socket) => seen.addresses.push(socket.url()));
  return seen;
}

/** Opens the page and waits for its editors. */
export async function open(page, address) {
  await page.goto(address);
  await ready(page);
}

export async function ready(page) {
  for (const selector of Object.values(EDITORS)) await page.waitForSelector(selector, { state: 'attached' });
}

/** The text of an editor: query, variables, headers or response. */
export function text(page, name) {
  return page.$eval(EDITORS[name], (element) => element.CodeMirror.getValue());
}

/** Types into an editor as a reader would, replacing what is there. */
export function type(page, name, value) {
  return page.$eval(EDITORS[name], (element, typed) => element.CodeMirror.setValue(typed), value);
}

/** Chooses an example and waits until its query is in the editor. */
export async function choose(page, name) {
  const button = page.locator(`[data-example="${name}"]`);
  await button.click();
  await page.waitForSelector(`[data-example="${name}"][aria-current]`);
  return { query: await text(page, 'query'), variables: await text(page, 'variables') };
}

/** Presses the play button and waits for an answer. */
export async function run(page) {
  await page.click('.graphiql-execute-button');
  await page.waitForFunction(
    (selector) => document.querySelector(selector).CodeMirror.getValue().includes('"'),
    EDITORS.response,
  );
  return text(page, 'response');
}

/** Waits until GraphiQL has the schema: its documentation panel then lists the root types. */
export async function schemaLoaded(page) {
  await page.click('button[aria-label="Show Documentation Explorer"]');
  await page.waitForSelector('.graphiql-doc-explorer-root-type');
  await page.click('button[aria-label="Show Examples"]');
}

/** Everything that the page keeps in the browser, once GraphiQL has stored that the tab with this title is open. */
export async function kept(page, title) {
  await page.waitForFunction((wanted) => {
    const { tabs, activeTabIndex } = JSON.parse(window.sessionStorage.getItem('graphiql:tabState') ?? '{}');
    return tabs?.[activeTabIndex]?.title === wanted;
  }, title);
  return page.evaluate(() => JSON.stringify([{ ...window.localStorage }, { ...window.sessionStorage }]));
}
