import {
  buildModelGraph,
  expertRank,
  MegascaleError,
  openCheckpoint,
  partition,
  residentExpertsByLayer,
  systemClock,
} from '@megascale/core';
import { ExpertMover } from '../placement/expert-mover.js';
import { ExpertTimer } from './expert-timer.js';
import { loadBackend, loadTransport } from '../plugins/plugins.js';
import {
  backendOptions,
  placementOf,
  transportOptions,
  type WorkerContext,
} from '../worker/worker-context.js';
import { FlightRecorder } from '../recorder/flight-recorder.js';
import { serveExperts } from './serve-experts.js';
import { WorkerProfiler } from '../recorder/worker-profiler.js';

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
  const experts = residentExpertsByLayer(placementOf(start), rank, program.stages.length);

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
      program.sizes.topK,
  });
  let hear: () => void = () => undefined;
  const transport = await loadTransport(config.transport);
  const options = transportOptions(
    context,
    { sizes: program.sizes, routedLayerCount: program.stages.length },
    backend,
  );
  const recorder = new FlightRecorder(config.recorderEvents);
  const stages = [{ stage: 'expert', profiler: stage.profiler } as const];
  const profiler = new WorkerProfiler(stages, recorder, inbox);
  const port = await transport.openExpert(rank, {
    ...options,
    // This thread is nearly always inside a wait; waits look here, so it is where questions are answered.
    stopReason: () => {
      hear();
      return options.stopReason();
    },
  });
  const mover = new ExpertMover({
    ...{ rank, stage, port, inbox },
    layerCount: program.stages.length,
    placement: placementOf(start),
    clock: systemClock,
  });
  hear = () => {
    for (const message of inbox.drain()) {
      profiler.receive(message);
      mover.receive(message);
    }
    mover.work();
  };
  stage.bindSlots(port.slots);
  inbox.send({ type: 'worker-ready', backend: backend.name, isa: backend.isa });

  const timer = new ExpertTimer((times) => {
    inbox.send({ type: 'experts-timed', ...times });
  });
  try {
    serveExperts({ port, stage, recorder, timer, clock: systemClock, between: hear });
  } catch (error) {
    if (!(MegascaleError.isInstance(error) && control.stopReason() !== undefined)) throw error;
  } finally {
    port.close();
    stage.close();
    backend.close();
  }
}
