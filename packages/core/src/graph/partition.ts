import type { ExpertsNode, GraphNode, ModelGraph, ModelSizes, RouterNode, Value } from './ops.js';
import { inputsOf, outputsOf } from './node-values.js';
import { ConfigError } from '../errors.js';

/** What an attention worker runs: the model without its routed experts. */
export interface AttentionProgram {
  readonly sizes: ModelSizes;
  readonly prologue: readonly GraphNode[];
  /**
   * One entry per routed layer; layers without routed experts are part of the next entry (or the
   * epilogue).
   */
  readonly stages: readonly AttentionStageProgram[];
  readonly epilogue: readonly GraphNode[];
}

export interface AttentionStageProgram {
  /** Before the cut; the last node is the router, whose input is the message. */
  readonly attend: readonly GraphNode[];
  readonly router: RouterNode;
  /** [T, H] activation: what travels to the experts. */
  readonly message: Value;
  /**
   * The value the experts' weighted sum is added to: combine is residual += Σₖ weights · answers.
   */
  readonly residual: Value;
}

/** What expert workers run: one node per routed layer. */
export interface ExpertProgram {
  readonly sizes: ModelSizes;
  readonly stages: readonly ExpertsNode[];
}

export interface Partition {
  readonly attention: AttentionProgram;
  readonly expert: ExpertProgram;
}

/**
 * Cuts every routed layer at its `experts` node. The paper's cut: what comes before runs on
 * attention workers, the node itself on expert workers, and the message between them is the node's
 * input and routes.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' naming the layer, when it has two experts nodes, uses
 * their output for anything but the residual, or touches the residual where the cut would change
 * the order.
 */
export function partition(model: ModelGraph): Partition {
  const stages: AttentionStageProgram[] = [];
  const experts: ExpertsNode[] = [];
  let pending: GraphNode[] = [];
  for (const layer of model.layers) {
    const cut = cutLayer(layer.name, layer.nodes);
    if (cut === undefined) {
      pending = [...pending, ...layer.nodes];
      continue;
    }
    stages.push({ ...cut.stage, attend: [...pending, ...cut.stage.attend] });
    experts.push(cut.experts);
    pending = [];
  }
  return {
    attention: {
      sizes: model.sizes,
      prologue: model.prologue.nodes,
      stages,
      epilogue: [...pending, ...model.epilogue.nodes],
    },
    expert: { sizes: model.sizes, stages: experts },
  };
}

function cutLayer(
  name: string,
  nodes: readonly GraphNode[],
): { stage: AttentionStageProgram; experts: ExpertsNode } | undefined {
  const found = nodes.filter((node): node is ExpertsNode => node.op === 'experts');
  const [experts] = found;
  if (experts === undefined) return undefined;
  if (found.length > 1) throw unfit(name, 'has more than one experts node');

  const router = nodes.find(
    (node): node is RouterNode => node.op === 'router' && node.out === experts.routes,
  );
  if (router === undefined)
    throw unfit(name, 'routes its experts by something other than a router');

  const users = nodes.filter((node) => inputsOf(node).includes(experts.out));
  const [sum] = users;
  if (users.length !== 1 || sum?.op !== 'addTo' || sum.x !== experts.out) {
    throw unfit(name, 'must add the experts’ output to the residual, and do nothing else with it');
  }
  const attend = nodes.filter((node) => node !== experts && node !== sum && node !== router);
  const between = nodes.slice(nodes.indexOf(experts), nodes.indexOf(sum));
  if (between.some((node) => outputsOf(node).includes(sum.into))) {
    throw unfit(name, 'changes the residual between the experts and their sum');
  }
  const after = nodes.slice(nodes.indexOf(sum) + 1);
  if (after.some((node) => [...inputsOf(node), ...outputsOf(node)].includes(sum.into))) {
    throw unfit(name, 'uses the residual after the experts’ sum, in the same layer');
  }
  return {
    stage: { attend: [...attend, router], router, message: experts.x, residual: sum.into },
    experts,
  };
}

function unfit(layer: string, what: string): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `Layer ${layer} cannot be split: it ${what}. Change the family's graph.`,
    details: { layer },
  });
}
