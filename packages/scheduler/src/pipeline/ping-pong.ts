import { layerIndex, type LayerIndex, type MicroBatchIndex } from '@megascale/core';

/** One thing an attention worker does with one micro-batch. `layer` counts routed layers. */
export type PipelineAction =
  | {
      readonly type: 'attend' | 'dispatch' | 'combine';
      readonly layer: LayerIndex;
      readonly microBatch: MicroBatchIndex;
    }
  | { readonly type: 'sample'; readonly microBatch: MicroBatchIndex };

/**
 * The order of work of one step on one attention worker; the driver and the simulator both follow
 * it. While one micro-batch is attended to, the others are away at the experts: overlap needs no
 * other code.
 */
export function* pingPong(
  layerCount: number,
  microBatches: readonly MicroBatchIndex[],
): Generator<PipelineAction, void, undefined> {
  for (let layer = 0; layer < layerCount; layer += 1) {
    for (const microBatch of microBatches) {
      if (layer > 0) yield { type: 'combine', layer: layerIndex(layer - 1), microBatch };
      yield { type: 'attend', layer: layerIndex(layer), microBatch };
      yield { type: 'dispatch', layer: layerIndex(layer), microBatch };
    }
  }
  for (const microBatch of microBatches) {
    if (layerCount > 0) yield { type: 'combine', layer: layerIndex(layerCount - 1), microBatch };
    yield { type: 'sample', microBatch };
  }
}
