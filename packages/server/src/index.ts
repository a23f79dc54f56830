/** @megascale/server: the OpenAI-compatible HTTP server over any `LanguageModel`, and the `megascale` command. */
export { createHttpServer, type HttpOptions } from './http.js';
