import {
  buildModelGraph,
  expertRank,
  MegascaleError,
  openCheckpoint,
  partition,
  residentExpertsByLayer,
  systemClock,
  type Clock,
  type ExpertPort,
  type ExpertStage,
} from '@megascale/core';
import { ExpertMover } from '../placement/expert-mover.js';
import { loadBackend, loadTransport } from '../plugins/plugins.js';
import { eventKind, FlightRecorder } from '../recorder/flight-recorder.js';
import { WorkerProfiler } from '../recorder/worker-profiler.js';
import {
  backendOptions,
  placementOf,
  transportOptions,
  type WorkerContext,
} from '../worker/worker-context.js';
import { ExpertTimer } from './expert-timer.js';

/**
 * Runs the expert stage of every layer, for the experts placed on this rank: receives rows, runs
 * them, replies. It holds no sequence and no schedule: what arrives decides what it does.
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
  let receive: () => void = () => undefined;
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
    // This thread is nearly always inside a wait, and waits call this: messages are received here.
    stopReason: () => {
      receive();
      return options.stopReason();
    },
  });
  const mover = new ExpertMover({
    rank,
    stage,
    port,
    inbox,
    layerCount: program.stages.length,
    placement: placementOf(start),
    clock: systemClock,
  });
  receive = () => {
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
    serveExperts({ port, stage, recorder, timer, clock: systemClock, between: receive });
  } catch (error) {
    if (!(MegascaleError.isInstance(error) && control.stopReason() !== undefined)) throw error;
  } finally {
    port.close();
    stage.close();
    backend.close();
  }
}

/** What one expert worker serves with. */
export interface ExpertServer {
  readonly port: ExpertPort;
  readonly stage: ExpertStage;
  readonly recorder: FlightRecorder;
  readonly timer: ExpertTimer;
  readonly clock: Clock;
  /** Called between two inputs now and then, for when there is always something to serve. */
  readonly between?: () => void;
}

/** Time between two calls of `between`, at least. */
const betweenUs = 5_000;

/**
 * Serves one expert worker: receives, computes and replies until all attention ranks have closed.
 */
export function serveExperts({ port, stage, recorder, timer, clock, ...rest }: ExpertServer): void {
  let sinceUs = clock.nowUs();
  let calledUs = sinceUs;
  const note = (kind: number, layer: number, rows: number): void => {
    const nowUs = clock.nowUs();
    recorder.note(kind, sinceUs, nowUs, layer, -1, rows);
    sinceUs = nowUs;
  };
  for (let input = port.receive(); input !== undefined; input = port.receive()) {
    const { layer, rowCount } = input;
    note(eventKind.wait, layer, rowCount);
    const startUs = sinceUs;
    stage.run(layer, input);
    note(eventKind.experts, layer, rowCount);
    timer.note(rowCount, startUs, sinceUs);
    port.reply(input);
    note(eventKind.reply, layer, rowCount);
    if (sinceUs - calledUs < betweenUs) continue;
    calledUs = sinceUs;
    rest.between?.();
  }
}
