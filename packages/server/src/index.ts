/** @megascale/server serves OpenAI's API over any `LanguageModel`. */
export { composeHttpServer } from './http/compose-http-server.js';
export { drain, type DrainOptions } from './http/drain.js';
export { createHttpServer, type HttpOptions } from './http/http.js';
export { checkAddress, listenOn, urlOf, type ListenAddress } from './http/listen.js';
