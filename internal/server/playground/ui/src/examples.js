// The examples are plain files, so that the Go tests can run the same ones against the served schema.
import index from './examples/index.json';

const load = (files) =>
  Object.fromEntries(Object.entries(files).map(([path, content]) => [path.match(/([^/]+)\.\w+$/)[1], content]));

const queries = load(import.meta.glob('./examples/*.graphql', { query: '?raw', import: 'default', eager: true }));
const variables = load(
  import.meta.glob(['./examples/*.json', '!./examples/index.json'], { import: 'default', eager: true }),
);

/** The examples in menu order, their {{name}} slots filled from values or with a readable hint. */
export function loadExamples(values) {
  const known = { ...index.hints, ...values };
  return index.examples.map((example) => ({
    ...example,
    query: queries[example.name].trimEnd(),
    variables: variables[example.name] ? JSON.stringify(fill(variables[example.name], known), null, 2) : '',
    link: webLink(example.link, values),
  }));
}

/** Puts known values into the {{name}} slots of every string inside value. */
function fill(value, known) {
  if (typeof value === 'string') return value.replace(/\{\{(\w+)\}\}/g, (slot, name) => known[name] ?? slot);
  if (Array.isArray(value)) return value.map((item) => fill(item, known));
  if (value === null || typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, fill(item, known)]));
}

function webLink(link, values) {
  const url = link && values[link.value];
  if (!url || !URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) return null;
  return { label: link.label, url };
}
