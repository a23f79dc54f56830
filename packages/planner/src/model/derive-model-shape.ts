import {
  costOf,
  costOfAttentionStage,
  costOfNodes,
  parameterCount,
  partition,
  type Cost,
  type GraphNode,
  type ModelGraph,
  type Workload,
} from '@megascale/core';
import type { AttentionCost, EdgeCost, ExpertCost, ModelShape } from './model-shape.js';

export interface ElementBytes {
  /** Default 2: bf16. */
  readonly weight?: number;
  readonly activation?: number;
  readonly kv?: number;
}

/**
 * The shape of a model from its graph. Costs of ops are linear in the work, so evaluating them at
 * nothing and at one unit of each kind of work gives them exactly.
 */
export function deriveModelShape(
  name: string,
  graph: ModelGraph,
  { weight = 2, activation = 2, kv = 2 }: ElementBytes = {},
): ModelShape {
  const { sizes } = graph;
  const parts = partition(graph);
  const layerCount = parts.attention.stages.length;
  const nothing: Workload = {
    tokens: 0,
    logitsRows: 0,
    keysSeen: 0,
    keysRead: 0,
    routedRows: 0,
    expertsTouched: 0,
    weightElementBytes: weight,
    activationElementBytes: activation,
    kvElementBytes: kv,
  };
  const mean = (costOfStage: (work: Workload) => Cost) => perUnit(costOfStage, nothing, layerCount);
  const attention = mean((work) =>
    sum(parts.attention.stages.map((stage) => costOfAttentionStage(stage, work))),
  );
  const expert = mean((work) => sum(parts.expert.stages.map((node) => costOf(node, work))));
  const edge = perUnit(
    (work) =>
      sum([
        costOfNodes(parts.attention.prologue, work),
        costOfNodes(parts.attention.epilogue, work),
      ]),
    nothing,
    1,
  );
  const count = parameterCount(graph);
  const expertElements = 3 * sizes.expertWidth * sizes.hiddenSize;
  const layerElements = layerCount * (attention.weightBytes / weight);
  const routedElements = layerCount * sizes.expertCount * expertElements;
  return {
    name,
    layerCount,
    hiddenSize: sizes.hiddenSize,
    expertCount: sizes.expertCount,
    topK: sizes.topK,
    expertWidth: sizes.expertWidth,
    attention: attentionCost(attention, sizes.topK),
    expert: expertCost(expert),
    edge: edgeCost(edge, (count.total - layerElements - routedElements) * weight),
    message: {
      dispatchBytesPerRow: sizes.hiddenSize * activation,
      combineBytesPerRow: sizes.hiddenSize * activation,
    },
    windowTokens: windowOf(graph),
    kvBytesPerToken: kv * kvElementsPerToken(graph),
    computeDType: 'bf16',
    parameterCount: count.total,
    activeParameterCount: count.active,
  };
}

/** FLOPs and bytes of one unit of each kind of work. */
interface UnitCosts {
  readonly weightBytes: number;
  readonly token: Cost;
  readonly row: Cost;
  readonly keySeen: Cost;
  readonly keyRead: Cost;
  readonly logitsRow: Cost;
  readonly expertTouched: Cost;
}

function perUnit(cost: (work: Workload) => Cost, nothing: Workload, layers: number): UnitCosts {
  const base = cost(nothing);
  const unit = (work: Partial<Workload>): Cost => {
    const { flops, weightBytes, activationBytes, kvBytes } = cost({ ...nothing, ...work });
    return {
      flops: (flops - base.flops) / layers,
      weightBytes: (weightBytes - base.weightBytes) / layers,
      activationBytes: (activationBytes - base.activationBytes) / layers,
      kvBytes: (kvBytes - base.kvBytes) / layers,
    };
  };
  return {
    weightBytes: base.weightBytes / layers,
    token: unit({ tokens: 1 }),
    row: unit({ routedRows: 1 }),
    keySeen: unit({ keysSeen: 1 }),
    keyRead: unit({ keysRead: 1 }),
    logitsRow: unit({ logitsRows: 1 }),
    expertTouched: unit({ expertsTouched: 1 }),
  };
}

/** Combining is work of the attention half, for the K rows of each token. */
function attentionCost(unit: UnitCosts, topK: number): AttentionCost {
  return {
    weightBytes: unit.weightBytes,
    flopsPerToken: unit.token.flops + topK * unit.row.flops,
    activationBytesPerToken:
      unit.token.activationBytes + unit.token.kvBytes + topK * unit.row.activationBytes,
    flopsPerKeySeen: unit.keySeen.flops,
    kvBytesPerKeyRead: unit.keyRead.kvBytes,
  };
}

function expertCost(unit: UnitCosts): ExpertCost {
  return {
    weightBytes: unit.expertTouched.weightBytes,
    flopsPerRow: unit.row.flops,
    activationBytesPerRow: unit.row.activationBytes,
  };
}

/** In decode every token's logits are wanted. */
function edgeCost(unit: UnitCosts, weightBytes: number): EdgeCost {
  const { token, logitsRow } = unit;
  return {
    weightBytes,
    weightBytesRead: unit.weightBytes,
    flopsPerToken: token.flops + logitsRow.flops,
    activationBytesPerToken:
      token.weightBytes + token.activationBytes + logitsRow.weightBytes + logitsRow.activationBytes,
  };
}

function kvElementsPerToken(graph: ModelGraph): number {
  const attentions = graph.layers.flatMap(({ nodes }) => nodes.filter(isAttention));
  return attentions.reduce((elements, node) => elements + 2 * node.kvHeads * node.headSize, 0);
}

/** Of all layers alike; where some see everything, all are taken to. */
function windowOf(graph: ModelGraph): number | undefined {
  const windows = graph.layers.flatMap(({ nodes }) =>
    nodes.filter(isAttention).map(({ window }) => window ?? Infinity),
  );
  const widest = Math.max(0, ...windows);
  return Number.isFinite(widest) ? widest : undefined;
}

function isAttention(node: GraphNode): node is Extract<GraphNode, { op: 'pagedAttention' }> {
  return node.op === 'pagedAttention';
}

function sum(costs: readonly Cost[]): Cost {
  return costs.reduce(
    (total, cost) => ({
      flops: total.flops + cost.flops,
      weightBytes: total.weightBytes + cost.weightBytes,
      activationBytes: total.activationBytes + cost.activationBytes,
      kvBytes: total.kvBytes + cost.kvBytes,
    }),
    { flops: 0, weightBytes: 0, activationBytes: 0, kvBytes: 0 },
  );
}
