import { systemClock, type EmulatedLink, type TransportOptions } from '@megascale/core';
import { layersPerStep, type TrafficPlan } from '../traffic.js';

/** What one process of ours is told. */
export interface RoleRequest {
  readonly role: 'sender' | 'receiver';
  readonly rank: number;
  readonly transport: string;
  readonly plan: TrafficPlan;
  readonly spinUs: number;
  readonly emulatedLink?: EmulatedLink;
  /** Where the times go. */
  readonly file: string;
  /** Of this process's thread; -1: any. */
  readonly core: number;
}

export interface RoleResult {
  readonly samples: Float64Array;
  readonly heapBytesPerMessage: number;
}

const peerTimeoutMs = 30_000;

export function transportOptions(
  { plan, spinUs, emulatedLink }: RoleRequest,
  rendezvous: TransportOptions['rendezvous'],
): TransportOptions {
  return {
    attentionWorkerCount: plan.senders,
    expertWorkerCount: plan.receivers,
    placement: [plan.sizes.map((_, rank) => [rank])] as unknown as TransportOptions['placement'],
    layerCount: layersPerStep,
    hiddenSize: plan.rowBytes / 2,
    topK: 1,
    dtype: 'bf16',
    tokensPerSlotMax: tokensOf(plan),
    slotCount: plan.slots,
    peerTimeoutMs,
    spinUs,
    spinYields: plan.yields,
    gather: { type: 'lockstep' },
    ...(emulatedLink === undefined ? {} : { emulatedLink }),
    rendezvous,
    clock: systemClock,
    stopReason: () => undefined,
    allocate: (byteLength) => ({ memory: 'host', byteLength, bytes: new Uint8Array(byteLength) }),
  };
}

/** Of one sender, to all receivers. */
export function tokensOf({ sizes, rowBytes }: TrafficPlan): number {
  return sizes.reduce((sum, size) => sum + size, 0) / rowBytes;
}

export function bytesOf({ bytes }: { readonly bytes?: Uint8Array }): Uint8Array {
  if (bytes === undefined) throw new Error('This transport has no memory that the host can read.');
  return bytes;
}
