import { nullBackend } from './null/null-backend.js';
import { referenceBackend } from './reference/reference-backend.js';
import type { Plugin } from './spec/plugin.js';

/** What a worker imports from this package by name. */
export const plugin: Plugin = { backends: [referenceBackend, nullBackend] };
