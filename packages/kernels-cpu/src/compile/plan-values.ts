import {
  inputsOf,
  outputsOf,
  type AttentionProgram,
  type GraphNode,
  type Value,
} from '@megascale/core';
import { refuse } from '../binding/native-error.js';
import type { NativeValue } from './native-records.js';

/**
 * Where every value of a program lives. Values are keyed by object: joined graphs repeat their ids.
 */
export interface ValuePlan {
  /** The number of a value in `values`. */
  readonly numberOf: (value: Value) => number;
  readonly values: readonly NativeValue[];
  /**
   * Bytes per token of each scratch buffer (shared by values that do not live at the same time) and
   * each state buffer.
   */
  readonly scratchRowBytes: Float64Array;
  readonly stateRowBytes: Float64Array;
}

/**
 * Gives each value its memory: the message is the slot's; what one op list leaves for another is
 * state, kept per micro-batch; all else is scratch, used again as soon as its last reader has run.
 */
export function planValues(
  program: AttentionProgram,
  lists: readonly (readonly GraphNode[])[],
): ValuePlan {
  const plan = new ValuePlanner();
  const messages = new Set(program.stages.map((stage) => stage.message));
  for (const message of messages) plan.add(message, 'message', 0);
  for (const value of stateValues(program, lists)) {
    if (messages.has(value))
      refuse(`Value ${value.name} is a message and is read by another layer.`);
    plan.add(value, 'state', plan.stateRowBytes.push(rowBytes(value)) - 1);
  }
  for (const nodes of lists) planScratch(nodes, plan);
  return {
    numberOf: (value) => plan.numberOf(value),
    values: plan.values,
    scratchRowBytes: Float64Array.from(plan.scratchRowBytes),
    stateRowBytes: Float64Array.from(plan.stateRowBytes),
  };
}

/** Elements per token. */
export function widthOf(value: Value): number {
  const width = value.shape[1];
  if (typeof width !== 'number') return refuse(`Value ${value.name} has no fixed width.`);
  return width;
}

/** The values of a node that need memory: routes go to the slot, logits to their own buffer. */
function storedOutputs(node: GraphNode): readonly Value[] {
  return node.op === 'router' || node.op === 'lmHead' ? [] : outputsOf(node);
}

/** Values that more than one op list touches, and the residuals, which `combine` changes. */
function stateValues(
  program: AttentionProgram,
  lists: readonly (readonly GraphNode[])[],
): ReadonlySet<Value> {
  const state = new Set(program.stages.map((stage) => stage.residual));
  const firstList = new Map<Value, number>();
  lists.forEach((nodes, list) => {
    for (const node of nodes) {
      for (const value of [...inputsOf(node), ...storedOutputs(node)]) {
        const first = firstList.get(value) ?? list;
        firstList.set(value, first);
        if (first !== list) state.add(value);
      }
    }
  });
  return state;
}

function planScratch(nodes: readonly GraphNode[], plan: ValuePlanner): void {
  const lastReader = new Map<Value, GraphNode>();
  for (const node of nodes) for (const value of inputsOf(node)) lastReader.set(value, node);
  const free: number[] = [];
  const held = new Map<Value, number>();
  const start = plan.scratchRowBytes.length;
  plan.scratchRowBytes.forEach((_, buffer) => free.push(start - 1 - buffer));
  for (const node of nodes) {
    // Outputs take their buffer before inputs give theirs back: an op never writes where it reads.
    for (const value of storedOutputs(node)) {
      if (plan.has(value)) continue;
      const buffer = free.pop() ?? plan.scratchRowBytes.push(0) - 1;
      plan.growScratch(buffer, rowBytes(value));
      plan.add(value, 'scratch', buffer);
      held.set(value, buffer);
      // No op reads it: its buffer is free after this node.
      if (!lastReader.has(value)) lastReader.set(value, node);
    }
    for (const [value, buffer] of held) {
      if (lastReader.get(value) !== node) continue;
      free.push(buffer);
      held.delete(value);
    }
  }
}

class ValuePlanner {
  readonly values: NativeValue[] = [];
  readonly scratchRowBytes: number[] = [];
  readonly stateRowBytes: number[] = [];
  readonly #numbers = new Map<Value, number>();

  has(value: Value): boolean {
    return this.#numbers.has(value);
  }

  numberOf(value: Value): number {
    return this.#numbers.get(value) ?? refuse(`Value ${value.name} is read before it is computed.`);
  }

  add(value: Value, kind: NativeValue['kind'], buffer: number): void {
    this.#numbers.set(value, this.#numbers.size);
    this.values.push({ kind, isFloat: value.dtype === 'f32', width: widthOf(value), buffer });
  }

  growScratch(buffer: number, bytes: number): void {
    this.scratchRowBytes[buffer] = Math.max(this.scratchRowBytes[buffer] ?? 0, bytes);
  }
}

function rowBytes(value: Value): number {
  return widthOf(value) * (value.dtype === 'f32' ? 4 : 2);
}
