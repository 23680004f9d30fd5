// Prints the answer to GraphiQL's introspection query for a schema file.
import { readFileSync } from 'node:fs';
import { buildSchema, introspectionFromSchema } from './modules.mjs';

const schema = buildSchema(readFileSync(process.argv[2], 'utf8'));
const data = introspectionFromSchema(schema, { oneOf: true, inputValueDeprecation: true });
process.stdout.write(JSON.stringify({ data }));
