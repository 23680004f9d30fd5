// What GraphiQL may keep in the browser.
//
// Variables here carry client secrets and authorization codes, headers carry keys, answers carry tokens: none of them
// may outlive the page. So layout and theme go to localStorage, the text of the open queries to sessionStorage, and all
// else (history included) stays in memory.

// The preferences with their first values; the side panel is a little narrower than GraphiQL's own third.
const PREFERENCES = { theme: null, docExplorerFlex: '0.26', editorFlex: null, secondaryEditorFlex: null };
const PREFIX = 'graphiql:';
const TABS = `${PREFIX}tabState`;
const isPreference = (key) => key.slice(PREFIX.length) in PREFERENCES;
const preference = (key) => window.localStorage.getItem(key) ?? PREFERENCES[key.slice(PREFIX.length)];

/** The storage for GraphiQL. start is the example that is open where nothing was stored, or always with force. */
export function createStorage(examples, start, force) {
  const memory = new Map();
  const tabs = (!force && restoreTabs(examples)) || newTabs(start);
  const active = tabs.tabs[tabs.activeTabIndex];
  memory.set(TABS, JSON.stringify(tabs));
  memory.set(`${PREFIX}query`, active.query ?? '');
  memory.set(`${PREFIX}variables`, active.variables ?? '');

  return {
    get length() {
      return memory.size;
    },
    getItem: (key) => (isPreference(key) ? preference(key) : (memory.get(key) ?? null)),
    setItem(key, value) {
      if (isPreference(key)) return window.localStorage.setItem(key, value);
      if (key === TABS) window.sessionStorage.setItem(TABS, withoutSecrets(value));
      memory.set(key, value);
    },
    removeItem(key) {
      if (isPreference(key)) window.localStorage.removeItem(key);
      memory.delete(key);
    },
    clear() {
      Object.keys(PREFERENCES).forEach((name) => window.localStorage.removeItem(PREFIX + name));
      window.sessionStorage.removeItem(TABS);
      memory.clear();
    },
  };
}

function newTabs({ query, variables }) {
  const title = /\b(?:query|mutation)\s+(\w+)/.exec(query)?.[1];
  const editors = { query, variables, headers: null, response: null };
  return { activeTabIndex: 0, tabs: [{ id: 'start', title, operationName: title, ...editors }] };
}

/** Open queries of this browser tab before a reload; an example gets its variables back. */
function restoreTabs(examples) {
  try {
    const stored = JSON.parse(window.sessionStorage.getItem(TABS));
    if (!stored?.tabs?.[stored.activeTabIndex]) return null;
    const variables = new Map(examples.map((example) => [example.query, example.variables]));
    return { ...stored, tabs: stored.tabs.map((tab) => ({ ...tab, variables: variables.get(tab.query) ?? null })) };
  } catch {
    return null;
  }
}

function withoutSecrets(serialized) {
  const hidden = ['variables', 'headers', 'response', 'hash'];
  return JSON.stringify(JSON.parse(serialized), (key, value) => (hidden.includes(key) ? null : value));
}
