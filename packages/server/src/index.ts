/** @megascale/server: OpenAI's API over any `LanguageModel`, and the `megascale` command. */
export type {
  BenchReport,
  BenchRequest,
  BenchSuite,
  BenchTarget,
  LoadBenchRequest,
  M2nBenchRequest,
  AblationRequest,
  PipelineRequest,
  PredictRequest,
  ProfileRequest,
  M2nSearchRequest,
} from './bench-suite.js';
export {
  composeHttpServer,
  loadModel,
  probePlugins,
  type Availability,
  type Deployment,
  type LoadModel,
} from './compose.js';
export { drain, type DrainOptions } from './drain.js';
export { createHttpServer, type HttpOptions } from './http.js';
export { listenOn, urlOf, type ListenAddress } from './listen.js';
