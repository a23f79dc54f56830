import {
  attentionRank,
  expertRank,
  residentExpertsByLayer,
  type AttentionPort,
  type Backend,
  type Partition,
  type WeightSource,
} from '@megascale/core';
import { uniformPlacement } from '@megascale/scheduler';
import { loadTransport } from '../plugins/plugins.js';
import type { StepClock } from '../recorder/step-clock.js';
import type { ProfiledStage } from '../recorder/worker-profiler.js';
import { transportOptions, type WorkerContext } from '../worker/worker-context.js';
import { ColocatedPort } from './colocated-port.js';

interface PortParts {
  readonly backend: Backend;
  readonly model: Partition;
  readonly weights: WeightSource;
  readonly clock: StepClock;
}

interface OpenedPort {
  readonly port: AttentionPort;
  /** The expert stage, where it runs in this worker. */
  readonly stages: readonly ProfiledStage[];
}

/**
 * Opens the port of an attention worker: one that sends to the expert workers, or in colocated mode
 * one that calls the expert stage of this worker.
 */
export async function openPort(context: WorkerContext, parts: PortParts): Promise<OpenedPort> {
  if (context.start.config.colocated) return openColocatedPort(context, parts);
  const { attention } = parts.model;
  const transport = await loadTransport(context.start.config.transport);
  const model = { sizes: attention.sizes, routedLayerCount: attention.stages.length };
  const port = await transport.openAttention(
    attentionRank(context.start.rank),
    transportOptions(context, model, parts.backend),
  );
  return { port, stages: [] };
}

async function openColocatedPort(
  { start: { config } }: WorkerContext,
  { backend, model, weights, clock }: PortParts,
): Promise<OpenedPort> {
  const program = model.expert;
  const { expertCount, topK } = program.sizes;
  const expertStage = await backend.createExpertStage({
    program,
    weights,
    experts: residentExpertsByLayer(
      [uniformPlacement(expertCount, 1)],
      expertRank(0),
      program.stages.length,
    ),
    rowsMax: config.tokensPerMicroBatchMax * topK,
  });
  const port = new ColocatedPort({
    backend,
    expertStage,
    sizes: program.sizes,
    tokensPerSlotMax: config.tokensPerMicroBatchMax,
    slotCount: config.microBatches,
    clock,
  });
  return { port, stages: [{ stage: 'expert', profiler: expertStage.profiler }] };
}
