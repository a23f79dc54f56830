import type { Accelerator } from '../catalogue/accelerator.js';
import type { ModelShape } from '../model/model-shape.js';
import { defaultAssumptions, type Assumptions } from './assumptions.js';
import type { AttentionWork, ExpertWork, StepCosts, TransferWork } from './step-costs.js';

/** `tensorParallel` accelerators of one machine that work as one. */
export interface WorkerHardware {
  readonly accelerator: Accelerator;
  readonly tensorParallel: number;
}

export interface AcceleratorCostsOptions {
  readonly shape: ModelShape;
  readonly attention: WorkerHardware;
  readonly expert: WorkerHardware;
  /**
   * What carries rows: the network between machines, or the scale-up links where all workers share
   * them.
   */
  readonly link: 'network' | 'scale-up';
  readonly assumptions?: Assumptions | undefined;
}

/**
 * Times from datasheets: each part of a half-layer takes the longer of its FLOPs at the peak and
 * its bytes at the bandwidth, each times the share that is reached; then the all-reduce of tensor
 * parallelism, and what launching takes. Linear in the work above the point where weights and work
 * take equally long: the paper's k₁…k₄ (`linearForms`).
 */
export function createAcceleratorCosts(options: AcceleratorCostsOptions): StepCosts {
  const { shape, assumptions = defaultAssumptions } = options;
  const attention = ratesOf(options.attention, shape, assumptions);
  const expert = ratesOf(options.expert, shape, assumptions);
  const attentionLink = linkRate(options.attention, options.link, assumptions);
  const expertLink = linkRate(options.expert, options.link, assumptions);
  const { attentionFixedUs, expertFixedUs, messageUs, stepOverheadUs } = assumptions;
  return {
    stepOverheadUs,
    attentionTimeUs: ({ tokens, keysSeen, keysRead }: AttentionWork) => {
      const { weightBytes, activationBytesPerToken, flopsPerToken } = shape.attention;
      const projections = Math.max(
        (tokens * flopsPerToken) / attention.flopsPerUs,
        (weightBytes + tokens * activationBytesPerToken) / attention.bytesPerUs,
      );
      const attending = Math.max(
        (keysSeen * shape.attention.flopsPerKeySeen) / attention.flopsPerUs,
        (keysRead * shape.attention.kvBytesPerKeyRead) / attention.bytesPerUs,
      );
      const sync = attention.syncFixedUs + tokens * attention.syncUsPerRow;
      const time = projections + attending + sync + attentionFixedUs;
      return time * assumptions.attentionImbalance;
    },
    expertTimeUs: ({ rows, distinctExperts, reducedRows = rows }: ExpertWork) => {
      const { weightBytes, flopsPerRow, activationBytesPerRow } = shape.expert;
      const multiplying = Math.max(
        (rows * flopsPerRow) / expert.flopsPerUs,
        (distinctExperts * weightBytes + rows * activationBytesPerRow) / expert.bytesPerUs,
      );
      return multiplying + expert.syncFixedUs + reducedRows * expert.syncUsPerRow + expertFixedUs;
    },
    transferTimeUs: (work: TransferWork) => {
      const attentionUs = work.attentionBytes / attentionLink.bytesPerUs;
      const expertUs = work.expertBytes / expertLink.bytesPerUs;
      const postingUs = messageUs * Math.max(work.attentionPeers, work.expertPeers);
      return (
        Math.max(attentionUs, expertUs) +
        postingUs +
        Math.max(attentionLink.latencyUs, expertLink.latencyUs)
      );
    },
    edgeTimeUs: (tokens: number) =>
      Math.max(
        (tokens * shape.edge.flopsPerToken) / attention.flopsPerUs,
        (shape.edge.weightBytesRead + tokens * shape.edge.activationBytesPerToken) /
          attention.bytesPerUs,
      ),
  };
}

/**
 * What one worker reaches: bytes and FLOPs per µs, and its all-reduce (2 (tp − 1) / tp of the rows
 * over the scale-up link).
 */
function ratesOf(
  { accelerator, tensorParallel }: WorkerHardware,
  shape: ModelShape,
  assumptions: Assumptions,
): {
  readonly flopsPerUs: number;
  readonly bytesPerUs: number;
  readonly syncFixedUs: number;
  readonly syncUsPerRow: number;
} {
  const { scaleUp } = accelerator;
  const share = (2 * (tensorParallel - 1)) / tensorParallel;
  const rowBytes = shape.hiddenSize * 2;
  return {
    flopsPerUs:
      peakTeraflops(accelerator, shape.computeDType) *
      1e6 *
      accelerator.computeShare *
      tensorParallel,
    bytesPerUs:
      accelerator.memoryGigabytesPerSecond * 1e3 * assumptions.memoryShare * tensorParallel,
    syncFixedUs: tensorParallel > 1 ? 2 * scaleUp.latencyUs : 0,
    syncUsPerRow:
      (share * rowBytes) / (scaleUp.gigabytesPerSecond * 1e3 * assumptions.scaleUpShare),
  };
}

function linkRate(
  { accelerator, tensorParallel }: WorkerHardware,
  link: 'network' | 'scale-up',
  assumptions: Assumptions,
): { readonly bytesPerUs: number; readonly latencyUs: number } {
  const { gigabytesPerSecond, latencyUs } =
    link === 'network' ? accelerator.network : accelerator.scaleUp;
  const share = link === 'network' ? assumptions.networkShare : assumptions.scaleUpShare;
  return { bytesPerUs: gigabytesPerSecond * 1e3 * share * tensorParallel, latencyUs };
}

/** Dense peak for what the model multiplies. */
export function peakTeraflops(accelerator: Accelerator, dtype: 'bf16' | 'fp8'): number {
  return dtype === 'fp8'
    ? (accelerator.fp8Teraflops ?? accelerator.bf16Teraflops)
    : accelerator.bf16Teraflops;
}
