import {
  buildModelGraph,
  expertRank,
  MegascaleError,
  openCheckpoint,
  partition,
  residentExperts,
} from '@megascale/core';
import { loadBackend, loadTransport } from './plugins.js';
import {
  backendOptions,
  placementOf,
  transportOptions,
  type WorkerContext,
} from './worker-context.js';
import { WorkerProfiler } from './worker-profiler.js';

/**
 * The expert half of every layer, for the experts placed on this rank: receive rows, run them, reply. It holds no sequence and no
 * schedule; what arrives decides what it does.
 */
export async function runExpertWorker(context: WorkerContext): Promise<void> {
  const { start, control, inbox } = context;
  const { config } = start;
  const rank = expertRank(start.rank);
  const checkpoint = openCheckpoint(start.modelDirectory);
  const program = partition(buildModelGraph(checkpoint.config)).expert;
  const experts = residentExperts(placementOf(config, program.sizes), rank);

  const factory = await loadBackend(config.backend);
  const backend = await factory.create(backendOptions(context));
  const stage = await backend.createExpertStage({
    program,
    weights: checkpoint.weights,
    experts,
    rowsMax:
      config.attentionWorkers *
      config.microBatches *
      config.tokensPerMicroBatchMax *
      Math.min(program.sizes.topK, experts.length),
  });
  let ready = false;
  const transport = await loadTransport(config.transport);
  const options = transportOptions(
    context,
    { sizes: program.sizes, routedLayerCount: program.stages.length },
    backend,
  );
  const profiler = new WorkerProfiler([{ stage: 'expert', profiler: stage.profiler }], inbox);
  const port = await transport.openExpert(rank, {
    ...options,
    // This thread is always inside a wait or a run; waits look here, so it is where questions are answered.
    stopReason: () => {
      if (ready) for (const message of inbox.drain()) profiler.receive(message);
      return options.stopReason();
    },
  });
  ready = true;
  stage.bindSlots(port.slots);
  inbox.send({ type: 'worker-ready', backend: backend.name, isa: backend.isa });

  try {
    for (let input = port.receive(); input !== undefined; input = port.receive()) {
      stage.run(input.layer, input);
      port.reply(input);
    }
  } catch (error) {
    if (!(MegascaleError.isInstance(error) && control.stopReason() !== undefined)) throw error;
  } finally {
    port.close();
    stage.close();
    backend.close();
  }
}
