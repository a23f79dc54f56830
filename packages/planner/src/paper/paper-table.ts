import {
  heterogeneous,
  homogeneous,
  m2nOverNccl,
  ncclOverColocated,
  overAttentionWorkers,
  overMicroBatches,
} from './paper-measures.js';
import { paperModels, paperSetting, type PaperSetting } from './paper-systems.js';

/** One result of the paper beside what the model gives. */
export interface PaperRow {
  readonly id: string;
  readonly name: string;
  readonly paper: number;
  readonly ours: number;
  readonly unit: string;
  /** What the paper does not say, and what was taken. */
  readonly assumption: string;
  /** (ours − paper) / paper. */
  readonly deviationPercent: number;
  /** What `ours` becomes when one assumption changes. */
  readonly sensitivity: readonly { readonly change: string; readonly ours: number }[];
}

/**
 * Every result that is known of MegaScale-Infer's evaluation (arXiv 2504.02263), from one cost
 * model and one set of assumptions.
 */
export function paperTable(setting: PaperSetting = paperSetting): readonly PaperRow[] {
  return definitions.map(({ id, name, paper, unit, assumption, ours, varies = [] }) => {
    const value = ours(setting);
    return {
      id,
      name,
      paper,
      unit,
      assumption,
      ours: value,
      deviationPercent: ((value - paper) / paper) * 100,
      sensitivity: variations
        .filter(({ kind }) => varies.includes(kind))
        .map(({ change, apply }) => ({ change, ours: ours(apply(setting)) })),
    };
  });
}

type Kind = 'hardware' | 'vllm' | 'nccl' | 'prefill';
interface Definition {
  readonly id: string;
  readonly name: string;
  readonly paper: number;
  readonly unit: string;
  readonly assumption: string;
  readonly ours: (setting: PaperSetting) => number;
  readonly varies?: readonly Kind[];
}

const assume = (change: Partial<PaperSetting['assumptions']>) => (setting: PaperSetting) => ({
  ...setting,
  assumptions: { ...setting.assumptions, ...change },
});

const variations: readonly {
  readonly kind: Kind;
  readonly change: string;
  readonly apply: (setting: PaperSetting) => PaperSetting;
}[] = [
  {
    kind: 'hardware',
    change: 'memory reaches 0.75 of its bandwidth',
    apply: assume({ memoryShare: 0.75 }),
  },
  {
    kind: 'hardware',
    change: 'the network reaches 0.7 of its rate',
    apply: assume({ networkShare: 0.7 }),
  },
  {
    kind: 'hardware',
    change: 'collectives inside a machine reach 0.5',
    apply: assume({ scaleUpShare: 0.5 }),
  },
  {
    kind: 'hardware',
    change: 'the busiest expert gets 1.3 times the mean',
    apply: assume({ expertImbalance: 1.3 }),
  },
  {
    kind: 'hardware',
    change: 'prompts of 1,142 tokens',
    apply: (setting) => ({ ...setting, traffic: { ...setting.traffic, inputTokens: 1142 } }),
  },
  {
    kind: 'vllm',
    change: 'vLLM reaches 0.6',
    apply: (setting) => ({ ...setting, vllmShare: 0.6 }),
  },
  {
    kind: 'prefill',
    change: 'ours prefills on the cheapest kind of its pools',
    apply: (setting) => ({ ...setting, prefill: 'cheapest' }),
  },
  {
    kind: 'nccl',
    change: 'NCCL takes 3 times as long',
    apply: (setting) => ({ ...setting, ncclTime: 3 }),
  },
];

const baselineText =
  'fewest machines of 8 that hold the weights, same kernels and SLO for all; plan by Algorithm 1 within 64 accelerators';
const vllmText =
  'vLLM-like: TP over all its accelerators, at half of what TensorRT-LLM-like kernels reach: the ratio of the paper’s own two figures for these models, so this row is not independent of the next';
const most = (...values: readonly number[]): number => Math.max(...values);
const twoModels = ['mixtral-8x22b', 'dbrx'] as const;

const definitions: readonly Definition[] = [
  {
    id: 'homogeneous-vllm',
    name: 'Decode per accelerator over vLLM, Ampere, Mixtral-8x22B and DBRX (up to)',
    paper: 2.56,
    unit: '×',
    varies: ['hardware', 'vllm'],
    assumption: `${baselineText}; ${vllmText}`,
    ours: (s) => most(...twoModels.map((model) => homogeneous(model, s).overVllm)),
  },
  {
    id: 'homogeneous-tensorrt',
    name: 'Decode per accelerator over TensorRT-LLM, Ampere, Mixtral-8x22B and DBRX (up to)',
    paper: 1.28,
    unit: '×',
    varies: ['hardware'],
    assumption: `${baselineText}; TensorRT-LLM-like: TP 8; its EP has TP for attention and costs the same here`,
    ours: (s) => most(...twoModels.map((model) => homogeneous(model, s).overTensorRt)),
  },
  {
    id: 'homogeneous-scaled-vllm',
    name: 'Decode per accelerator over vLLM, Ampere, Scaled-MoE (up to)',
    paper: 7.11,
    unit: '×',
    varies: ['hardware', 'vllm'],
    assumption:
      'as before, with TP 16 over two machines in one ring over all network cards; the paper says that vLLM runs TP or PP over slow links, not which; Scaled-MoE has 64 heads of 128 and 8 KV heads',
    ours: (s) => homogeneous('scaled-moe', s).overVllm,
  },
  {
    id: 'homogeneous-scaled-tensorrt',
    name: 'Decode per accelerator over TensorRT-LLM, Ampere, Scaled-MoE (up to)',
    paper: 1.9,
    unit: '×',
    varies: ['hardware'],
    assumption:
      'TensorRT-LLM-like: TP 8 × PP 2 with no bubble; Scaled-MoE has 64 heads of 128 and 8 KV heads',
    ours: (s) => homogeneous('scaled-moe', s).overTensorRt,
  },
  {
    id: 'homogeneous-end-to-end',
    name: 'End to end with prefill, Ampere, over TensorRT-LLM (up to)',
    paper: 1.18,
    unit: '×',
    varies: ['hardware'],
    assumption:
      'the same prefill cluster for both (TP × PP, up to 64 whole prompts a batch, no limit on TTFT); Mixtral-8x22B and DBRX',
    ours: (s) => most(...twoModels.map((model) => homogeneous(model, s).endToEnd)),
  },
  {
    id: 'heterogeneous-vllm',
    name: 'Decode per price over vLLM on H20, with H20 and L40S (up to)',
    paper: 3.24,
    unit: '×',
    varies: ['hardware', 'vllm'],
    assumption:
      'prices of Table 3; 8 L40S a machine, 50 GB/s of network each machine; vLLM-like as before; Mixtral-8x22B and DBRX',
    ours: (s) => most(...twoModels.map((model) => heterogeneous(model, s, 'price').overVllm)),
  },
  {
    id: 'heterogeneous-tensorrt',
    name: 'Decode per price over TensorRT-LLM on H20, with H20 and L40S (up to)',
    paper: 1.86,
    unit: '×',
    varies: ['hardware'],
    assumption: 'as before; L40S reaches 0.7 and H20 0.92 of its peak',
    ours: (s) => most(...twoModels.map((model) => heterogeneous(model, s, 'price').overTensorRt)),
  },
  {
    id: 'heterogeneous-end-to-end',
    name: 'End to end per price over the best baseline, with H20 and L40S (up to)',
    paper: 1.66,
    unit: '×',
    varies: ['hardware', 'prefill'],
    assumption: 'prefill on H20 for both; the paper does not say where ours runs',
    ours: (s) => most(...twoModels.map((model) => heterogeneous(model, s, 'price').endToEnd)),
  },
  {
    id: 'heterogeneous-watt',
    name: 'Decode per watt over the best baseline, with H20 and L40S (up to)',
    paper: 1.8,
    unit: '×',
    varies: ['hardware'],
    assumption: 'the plan with the best price; 500 W and 350 W always drawn',
    ours: (s) => most(...twoModels.map((model) => heterogeneous(model, s, 'watt').overTensorRt)),
  },
  {
    id: 'heterogeneous-watt-end-to-end',
    name: 'End to end per watt over the best baseline, with H20 and L40S (up to)',
    paper: 1.72,
    unit: '×',
    varies: ['hardware', 'prefill'],
    assumption: 'as before, prefill as for prices',
    ours: (s) => most(...twoModels.map((model) => heterogeneous(model, s, 'watt').endToEnd)),
  },
  {
    id: 'micro-batches-1-2',
    name: 'Throughput of m = 2 over m = 1 (up to)',
    paper: 1.9,
    unit: '×',
    varies: ['hardware'],
    assumption: 'one batch in m micro-batches, the plan for m = 3 on Ampere; most of three models',
    ours: (s) => most(...paperModels.map((model) => overMicroBatches(model, s).oneToTwo)),
  },
  ...([1.1, 1.28, 1.38] as const).map((paper, index): Definition => {
    const model = paperModels[index] ?? 'scaled-moe';
    return {
      id: `micro-batches-2-3-${model}`,
      name: `Throughput of m = 3 over m = 2, ${model}`,
      paper,
      unit: '×',
      varies: ['hardware'],
      assumption:
        'as before; the paper’s plan is not known; its formula (6) gives T_c / T_f of 0.4 to 0.9 with its own link and model sizes, its gains imply 0.10 to 0.38',
      ours: (s) => overMicroBatches(model, s).twoToThree,
    };
  }),
  {
    id: 'attention-workers-peak',
    name: 'Attention workers with the most decode per accelerator, DBRX, of 1, 2, 4, 8, 16',
    paper: 8,
    unit: 'workers',
    varies: ['hardware'],
    assumption:
      'equally many sequences for each attention worker, tp_a and tp_e of the plan for m = 3 on Ampere',
    ours: (s) => overAttentionWorkers(s).peak,
  },
  {
    id: 'attention-workers-linear',
    name: 'Throughput of 4 attention workers over 1, DBRX',
    paper: 4,
    unit: '×',
    varies: ['hardware'],
    assumption: 'as before; the paper says linear',
    ours: (s) => overAttentionWorkers(s).fourOverOne,
  },
  {
    id: 'm2n-input',
    name: 'M2N throughput over NCCL, 256 KB',
    paper: 4.2,
    unit: '×',
    assumption: 'measured by the paper and taken from it as an input: nothing is predicted here',
    ours: (s) => s.ncclTime,
  },
  {
    id: 'm2n-over-nccl',
    name: 'Decode with M2N over decode with NCCL (up to)',
    paper: 1.53,
    unit: '×',
    varies: ['hardware', 'nccl'],
    assumption:
      'NCCL takes 4.2 times as long for all sizes; each has its own plan and batch; most of three models',
    ours: m2nOverNccl,
  },
  {
    id: 'nccl-over-colocated',
    name: 'Disaggregated with NCCL over colocated (up to)',
    paper: 4.66,
    unit: '×',
    varies: ['hardware', 'nccl', 'vllm'],
    assumption:
      'colocated: the vLLM-like baseline; most of three models (the paper’s 4.66 × 1.53 is its 7.11 for Scaled-MoE)',
    ours: ncclOverColocated,
  },
];
