/**
 * A GraphiQL fetcher: one POST per operation to endpoint, errors included in what is shown. GraphiQL asks for the schema
 * before its headers editor exists, so that request takes firstHeaders.
 */
export function createFetcher(endpoint, firstHeaders) {
  return async (request, options) => {
    const isFirst = !options?.headers && request.operationName === 'IntrospectionQuery';
    const response = await fetch(endpoint, {
      method: 'POST',
      headers: {
        ...(isFirst ? firstHeaders : options?.headers),
        'Content-Type': 'application/json',
        Accept: 'application/graphql-response+json, application/json;q=0.9',
      },
      body: JSON.stringify(request),
    });
    return readAnswer(response);
  };
}

// A proxy in between may answer with a page instead of JSON; its status says more than a parse error.
async function readAnswer(response) {
  const text = await response.text();
  try {
    return JSON.parse(text);
  } catch {
    return { errors: [{ message: `The server answered ${response.status} ${response.statusText}`.trim() }] };
  }
}
