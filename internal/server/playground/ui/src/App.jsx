import { PluginContextProvider } from '@graphiql/react';
import { GraphiQL } from 'graphiql';
import { useEffect, useMemo, useState } from 'react';
import { createExamplesPlugin } from './Examples.jsx';
import { loadExamples } from './examples.js';
import { createFetcher } from './fetcher.js';
import { KeyKeeper } from './KeyKeeper.jsx';
import { createStorage } from './storage.js';

const FIRST = 'who-am-i';
const CONNECT = 'connect-account';

/** GraphiQL with Tokenkeep's examples. Everything is made once: a changed prop would fetch the schema again. */
export function App({ config }) {
  const page = useMemo(() => assemble(config), [config]);
  const [headers, setHeaders] = useState(page.headers);
  const [isPrepared, setPrepared] = useState(false);
  if (!isPrepared) return <OpenPanel plugins={page.plugins} onOpened={setPrepared} />;
  return (
    <GraphiQL
      fetcher={page.fetcher}
      storage={page.storage}
      plugins={page.plugins}
      visiblePlugin={page.plugins[0]}
      defaultHeaders={headers}
      defaultQuery=""
      defaultEditorToolsVisibility={page.hasKey ? 'variables' : 'headers'}
      shouldPersistHeaders={false}
      inputValueDeprecation
    >
      <GraphiQL.Logo>
        <a className="tk-brand" href={import.meta.env.BASE_URL}>
          <img src={`${import.meta.env.BASE_URL}favicon.svg`} alt="" width="22" height="22" />
          Tokenkeep
        </a>
      </GraphiQL.Logo>
      <GraphiQL.Toolbar>
        {({ prettify, copy, merge }) => (
          <>
            {prettify}
            {merge}
            {copy}
            <KeyKeeper hint={page.headers} onChange={setHeaders} />
          </>
        )}
      </GraphiQL.Toolbar>
    </GraphiQL>
  );
}

/**
 * Puts the examples into GraphiQL's plugin store before GraphiQL itself is there. It decides at its first render whether
 * the side panel is open, and would learn of visiblePlugin only after that.
 */
function OpenPanel({ plugins, onOpened }) {
  useEffect(() => onOpened(true), [onOpened]);
  return <PluginContextProvider plugins={plugins} visiblePlugin={plugins[0]} />;
}

function assemble({ endpoint, apiKey, values }) {
  const examples = loadExamples(values);
  const start = examples.find(({ name }) => name === (values.code ? CONNECT : FIRST));
  const headers = { Authorization: `Bearer ${apiKey || '<your key>'}` };
  return {
    hasKey: Boolean(apiKey),
    headers: JSON.stringify(headers, null, 2),
    fetcher: createFetcher(endpoint, apiKey ? headers : {}),
    storage: createStorage(examples, start, Boolean(values.code)),
    plugins: [createExamplesPlugin(examples)],
  };
}
