/**
 * @megascale/bench: decode, prefill, load and the transports, each beside what the machine can do,
 * measured in the same run.
 */
import type { BenchSuite } from './suite.js';
import { benchAblation } from './ablation/ablation-bench.js';
import { benchDecode } from './model/decode-bench.js';
import { benchLoad } from './model/load-bench.js';
import { benchM2n } from './m2n/m2n-bench.js';
import { benchM2nSearch } from './m2n/search/search-bench.js';
import { benchPipeline } from './pipeline/pipeline-bench.js';
import { benchPrefill } from './model/prefill-bench.js';
import { benchPredict, benchProfile } from './profile/profile-bench.js';

export type {
  AblationRequest,
  BenchReport,
  BenchRequest,
  BenchSuite,
  BenchTarget,
  LoadBenchRequest,
  M2nBenchRequest,
  M2nSearchRequest,
  PipelineRequest,
  PredictRequest,
  ProfileRequest,
} from './suite.js';
export { BenchError } from './bench-error.js';
export { chromeTrace } from './measure/chrome-trace.js';
export { opTable, type MachineLimits, type OpRow, type ProfiledTime } from './model/op-table.js';
export { percentile, spreadOf, type Spread } from './measure/spread.js';
export { measurePoint } from './m2n/measure.js';
export type { MeasureOptions } from './m2n/measure-options.js';
export type { M2nFigures, Percentiles } from './m2n/m2n-figures.js';
export type { Traffic } from './m2n/traffic.js';

/** What `megascale bench` runs. */
export const suite: BenchSuite = {
  decode: benchDecode,
  prefill: benchPrefill,
  load: benchLoad,
  m2n: benchM2n,
  m2nSearch: benchM2nSearch,
  ablation: benchAblation,
  pipeline: benchPipeline,
  profile: benchProfile,
  predict: benchPredict,
};
