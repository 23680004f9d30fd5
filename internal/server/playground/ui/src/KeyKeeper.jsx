import { useEditorContext, useSchemaStore } from '@graphiql/react';
import { useEffect, useRef } from 'react';

const SETTLED_MS = 400;

/**
 * Follows what is typed into the headers editor. GraphiQL keeps headers per tab; here one key serves all tabs, so a
 * tab that still shows the hint takes the last headers over, and a new key fetches the schema where there is none yet.
 */
export function KeyKeeper({ hint, onChange }) {
  const { headerEditor } = useEditorContext({ nonNull: true });
  const schemaStore = useSchemaStore();
  const schema = useRef(schemaStore);
  schema.current = schemaStore;
  const last = useRef(hint);

  useEffect(() => {
    if (!headerEditor) return undefined;
    let timer;
    const settle = () => {
      const typed = headerEditor.getValue();
      if (typed === last.current) return;
      if (typed === hint) return headerEditor.setValue(last.current);
      last.current = typed;
      onChange(typed);
      if (!schema.current.schema) schema.current.introspect();
    };
    const changed = () => {
      clearTimeout(timer);
      timer = setTimeout(settle, SETTLED_MS);
    };
    headerEditor.on('change', changed);
    return () => {
      clearTimeout(timer);
      headerEditor.off('change', changed);
    };
  }, [headerEditor, hint, onChange]);
  return null;
}
