// The page's settings come as JSON from its own origin: an inline script would need a wider Content-Security-Policy.

/** Fetches {endpoint, apiKey, values}; apiKey is there in development only. */
export async function loadConfig() {
  const response = await fetch(`${import.meta.env.BASE_URL}config.json`, { cache: 'no-store' });
  if (!response.ok) throw new Error(`its configuration answered with ${response.status}`);
  const config = await response.json();
  return { ...config, values: { ...config.values, ...returnedCode(config.values) } };
}

/**
 * The code that a consent page sent back, where this page is the registered redirect URI. It is taken out of the
 * address bar at once, so that it stays neither in the history nor in a bookmark.
 */
function returnedCode(values) {
  const here = new URL(window.location.href);
  const code = here.searchParams.get('code');
  if (!code || !samePage(values?.redirectUri, here)) return {};
  window.history.replaceState(null, '', here.pathname);
  return { code };
}

function samePage(uri, here) {
  if (!uri || !URL.canParse(uri)) return false;
  const other = new URL(uri);
  const path = (url) => url.pathname.replace(/\/$/, '');
  return other.origin === here.origin && path(other) === path(here);
}
