import {
  systemClock,
  type Backend,
  type BackendOptions,
  type ModelSizes,
  type NetworkOptions,
  type Placement,
  type Region,
  type TransportOptions,
} from '@megascale/core';
import { hostOf } from '../config/hosts.js';
import type { WorkerStart } from '../protocol/messages.js';
import type { ThreadControl } from './thread-control.js';
import type { Inbox } from './thread-inbox.js';

/** What a data thread is given. */
export interface WorkerContext {
  readonly start: WorkerStart;
  readonly control: ThreadControl;
  readonly inbox: Inbox;
}

/** The backend's options for this worker. */
export function backendOptions({ start: { config, role, rank } }: WorkerContext): BackendOptions {
  const threads = role === 'attention' ? config.attentionThreads : config.expertThreads;
  const cores = Array.from({ length: threads }, (_, thread) => rank * threads + thread);
  return {
    threads,
    ...(config.bindThreads ? { cores } : {}),
    ...(config.isa === undefined ? {} : { isa: config.isa }),
    settings: config.backendSettings,
  };
}

/** Which expert worker holds what at the start: the same on every worker. */
export function placementOf({ placement }: WorkerStart): Placement {
  return placement.placement as unknown as Placement;
}

/** The transport's options for this worker: the same on every worker but for what is passed in. */
export function transportOptions(
  { start, control, inbox }: WorkerContext,
  model: { readonly sizes: ModelSizes; readonly routedLayerCount: number },
  backend: Backend,
): TransportOptions {
  const { config, role, rank } = start;
  const host = hostOf(config.hosts, role, rank);
  return {
    attentionWorkerCount: config.attentionWorkers,
    expertWorkerCount: config.expertWorkers,
    placement: placementOf(start),
    placementEpoch: start.placement.epoch,
    splitRowsMin: config.splitRowsMin,
    layerCount: model.routedLayerCount,
    hiddenSize: model.sizes.hiddenSize,
    topK: model.sizes.topK,
    dtype: backend.activationDType,
    tokensPerSlotMax: config.tokensPerMicroBatchMax,
    slotCount: config.microBatches,
    peerTimeoutMs: config.peerTimeoutMs,
    spinUs: config.spinUs,
    spinYields: config.bindThreads,
    gather: config.gather,
    combine: config.combine,
    network: {
      // Absent fields are absent: the schema made none.
      ...(config.network as NetworkOptions),
      ...(host === undefined ? {} : { host: host.address }),
    },
    ...(config.emulatedLink === undefined ? {} : { emulatedLink: config.emulatedLink }),
    clock: systemClock,
    stopReason: control.stopReason,
    allocate: (byteLength: number): Region => backend.allocate(byteLength),
    rendezvous: {
      exchange: async (address) => {
        inbox.send({ type: 'worker-reachable', address });
        return inbox.take('addresses-known');
      },
    },
  };
}
