// Node looks for modules beside the importing file; these lie in a cache folder that the Go test fills.
import { createRequire } from 'node:module';
import { join } from 'node:path';

const require = createRequire(join(process.env.MODULES, 'package.json'));

export const { chromium } = require('playwright-core');
export const { buildSchema, introspectionFromSchema } = require('graphql');
