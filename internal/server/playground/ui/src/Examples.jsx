import { useEditorContext } from '@graphiql/react';
import { useEffect, useState } from 'react';

/** The side panel with one example per task. */
export function createExamplesPlugin(examples) {
  return { title: 'Examples', icon: ExamplesIcon, content: () => <ExamplesPanel examples={examples} /> };
}

function ExamplesPanel({ examples }) {
  const { open, current } = useOpenExample();
  const groups = [...new Set(examples.map(({ group }) => group))];
  return (
    <section className="tk-examples" aria-label="Examples">
      <h2>Examples</h2>
      {groups.map((group) => (
        <div key={group}>
          <h3>{group}</h3>
          <ul>
            {examples
              .filter((example) => example.group === group)
              .map((example) => (
                <ExampleItem key={example.name} example={example} open={open} isOpen={example.query === current} />
              ))}
          </ul>
        </div>
      ))}
    </section>
  );
}

function ExampleItem({ example, open, isOpen }) {
  return (
    <li>
      <button type="button" data-example={example.name} aria-current={isOpen || undefined} onClick={() => open(example)}>
        <strong>{example.title}</strong>
        <span>{example.about}</span>
      </button>
      {example.link && (
        <a href={example.link.url} target="_blank" rel="noopener noreferrer">
          {example.link.label}
        </a>
      )}
    </li>
  );
}

/**
 * Opens an example in the tab that already shows it, else in a new one, so that nothing typed is overwritten. GraphiQL
 * can only add an empty tab; its editors are filled once that tab is the active one.
 */
function useOpenExample() {
  const { tabs, activeTabIndex, addTab, changeTab, queryEditor, variableEditor } = useEditorContext({ nonNull: true });
  const [pending, setPending] = useState(null);

  useEffect(() => {
    if (!pending || activeTabIndex !== pending.tab) return;
    queryEditor.setValue(pending.example.query);
    variableEditor.setValue(pending.example.variables);
    setPending(null);
  }, [pending, activeTabIndex, queryEditor, variableEditor]);

  const open = (example) => {
    const shown = tabs.findIndex(({ query }) => query === example.query);
    if (shown >= 0) return shown === activeTabIndex || changeTab(shown);
    setPending({ example, tab: tabs.length });
    addTab();
  };
  return { open, current: tabs[activeTabIndex]?.query };
}

function ExamplesIcon() {
  return (
    <svg viewBox="0 0 16 16" fill="none" stroke="currentColor" strokeWidth="1.4" strokeLinecap="round" aria-hidden="true">
      <path d="M2 3.5h1M2 8h1M2 12.5h1M6 3.5h8M6 8h8M6 12.5h8" />
    </svg>
  );
}
