import type { Accelerator } from '../catalogue/accelerator.js';
import { peakTeraflops } from '../cost/accelerator-costs.js';
import type { Assumptions } from '../cost/assumptions.js';
import type { DisaggregatedDeployment } from '../deployment/deployment.js';
import type { MicroBatchWork } from '../evaluate/decode-evaluation.js';
import { keysSeenWith, type ModelShape } from '../model/model-shape.js';

/**
 * Where one half of a layer stands under the roofs of its accelerator: peak, memory and (for
 * experts, whose rows come over a link) the link: the hierarchical roofline P = min(P_peak,
 * B_memory · I_memory, B_link · I_link) of MoE-Lightning (arXiv 2411.11217).
 */
export interface Roofline {
  /** FLOPs for each byte of memory read or written. */
  readonly intensity: number;
  /** FLOPs for each byte that one worker receives; undefined where nothing does. */
  readonly linkIntensity: number | undefined;
  /** Intensity from which the peak bounds. */
  readonly ridge: number;
  readonly bound: 'compute' | 'memory' | 'link';
  /** Attainable share of the peak, 0 to 1. */
  readonly share: number;
}

/** The attention half of one micro-batch: projections and attending together. */
export function attentionRoofline(
  shape: ModelShape,
  { attention }: DisaggregatedDeployment,
  work: MicroBatchWork,
  options: { readonly contextTokens: number; readonly assumptions: Assumptions },
): Roofline {
  const tokens = work.tokensPerAttentionWorker;
  const keys = tokens * keysSeenWith(shape, options.contextTokens);
  const cost = shape.attention;
  return roofline(attention.accelerator, shape, options.assumptions, {
    flops: tokens * cost.flopsPerToken + keys * cost.flopsPerKeySeen,
    bytes: cost.weightBytes + tokens * cost.activationBytesPerToken + keys * cost.kvBytesPerKeyRead,
  });
}

/** The expert half of one micro-batch on one worker, with the link that its rows come over. */
export function expertRoofline(
  shape: ModelShape,
  { expert }: DisaggregatedDeployment,
  work: MicroBatchWork,
  options: { readonly linkGigabytesPerSecond: number; readonly assumptions: Assumptions },
): Roofline {
  const rows = work.rowsPerExpertWorker;
  return roofline(expert.accelerator, shape, options.assumptions, {
    flops: rows * shape.expert.flopsPerRow,
    bytes:
      work.distinctExpertsPerWorker * shape.expert.weightBytes +
      rows * shape.expert.activationBytesPerRow,
    link: {
      bytes: work.bytesPerExpertWorker,
      gigabytesPerSecond: options.linkGigabytesPerSecond,
    },
  });
}

interface Traffic {
  readonly flops: number;
  readonly bytes: number;
  readonly link?: { readonly bytes: number; readonly gigabytesPerSecond: number };
}

function roofline(
  accelerator: Accelerator,
  shape: ModelShape,
  assumptions: Assumptions,
  { flops, bytes, link }: Traffic,
): Roofline {
  const peak = peakTeraflops(accelerator, shape.computeDType) * 1e12 * accelerator.computeShare;
  const memory = accelerator.memoryGigabytesPerSecond * 1e9 * assumptions.memoryShare;
  const intensity = flops / bytes;
  const linkIntensity = link === undefined || link.bytes === 0 ? undefined : flops / link.bytes;
  const linkRate = (link?.gigabytesPerSecond ?? 0) * 1e9 * assumptions.networkShare;
  const roofs = {
    compute: peak,
    memory: memory * intensity,
    link: linkIntensity === undefined ? Infinity : linkRate * linkIntensity,
  };
  const attainable = Math.min(roofs.compute, roofs.memory, roofs.link);
  const bound =
    attainable === roofs.compute ? 'compute' : attainable === roofs.memory ? 'memory' : 'link';
  return { intensity, linkIntensity, ridge: peak / memory, bound, share: attainable / peak };
}
