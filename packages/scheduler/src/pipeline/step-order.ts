import type { MicroBatchIndex } from '@megascale/core';
import { pingPong, type PipelineAction } from './ping-pong.js';

/**
 * The actions of `pingPong` for one step, cut where the step before and the step after can be
 * joined to it.
 */
export interface StepOrder {
  /** [micro-batches] attend and dispatch of the first layer. */
  readonly opening: readonly (readonly PipelineAction[])[];
  readonly middle: readonly PipelineAction[];
  /** [micro-batches] combine of the last layer, and sample. */
  readonly closing: readonly (readonly PipelineAction[])[];
}

/**
 * The order for these micro-batches, ascending: the same object every time, so that following it
 * allocates nothing.
 */
export type StepOrders = (microBatches: readonly MicroBatchIndex[]) => StepOrder;

/** Keeps one order per set of micro-batches that ever occurs; with a batcher that is at most m. */
export function createStepOrders(layerCount: number): StepOrders {
  const orders = new Map<string, StepOrder>();
  return (microBatches) => {
    const key = microBatches.join();
    const known = orders.get(key);
    if (known !== undefined) return known;
    const order = Object.freeze(stepOrder(layerCount, microBatches));
    orders.set(key, order);
    return order;
  };
}

function stepOrder(layerCount: number, microBatches: readonly MicroBatchIndex[]): StepOrder {
  const actions = [...pingPong(layerCount, microBatches)];
  const isClosing = (action: PipelineAction): boolean =>
    action.type === 'sample' || (action.type === 'combine' && action.layer === layerCount - 1);
  const isOpening = (action: PipelineAction): boolean =>
    !isClosing(action) &&
    action.type !== 'sample' &&
    action.type !== 'combine' &&
    action.layer === 0;
  const byMicroBatch = (part: readonly PipelineAction[]): PipelineAction[][] =>
    microBatches.map((microBatch) => part.filter((action) => action.microBatch === microBatch));
  return {
    opening: byMicroBatch(actions.filter(isOpening)),
    middle: actions.filter((action) => !isOpening(action) && !isClosing(action)),
    closing: byMicroBatch(actions.filter(isClosing)),
  };
}
