import {
  attentionRank,
  expertRank,
  systemClock,
  type AttentionPort,
  type Clock,
  type ExpertPort,
  type Rendezvous,
  type TransportFactory,
  type TransportOptions,
} from '@megascale/core';

export interface OpenPorts {
  readonly attention: readonly AttentionPort[];
  readonly expert: readonly ExpertPort[];
}

export type PortOptions = Omit<
  TransportOptions,
  'rendezvous' | 'clock' | 'stopReason' | 'allocate'
>;

export const smallOptions: PortOptions = {
  attentionWorkerCount: 1,
  expertWorkerCount: 1,
  placement: [[[expertRank(0)], [expertRank(0)]]],
  layerCount: 2,
  hiddenSize: 4,
  topK: 1,
  dtype: 'f32',
  tokensPerSlotMax: 3,
  slotCount: 2,
  peerTimeoutMs: 5000,
  spinUs: 0,
  gather: { type: 'lockstep' },
};

/** Ports of all ranks in this thread: nothing blocks as long as every call finds its work done. */
export async function openPorts(
  factory: TransportFactory,
  plain: PortOptions,
  clock: Clock = systemClock,
): Promise<OpenPorts> {
  const { attentionWorkerCount, expertWorkerCount } = plain;
  const meet = meetingPoint(attentionWorkerCount, expertWorkerCount);
  const optionsAt = (index: number): TransportOptions => ({
    ...plain,
    clock,
    stopReason: () => undefined,
    allocate: (byteLength) => ({ memory: 'host', byteLength, bytes: new Uint8Array(byteLength) }),
    rendezvous: meet(index),
  });
  const ranks = (count: number) => Array.from({ length: count }, (_, rank) => rank);
  const [attention, expert] = await Promise.all([
    Promise.all(
      ranks(attentionWorkerCount).map((rank) =>
        factory.openAttention(attentionRank(rank), optionsAt(rank)),
      ),
    ),
    Promise.all(
      ranks(expertWorkerCount).map((rank) =>
        factory.openExpert(expertRank(rank), optionsAt(attentionWorkerCount + rank)),
      ),
    ),
  ]);
  return { attention, expert };
}

/** A rendezvous for each of M + N workers of one thread, attention ranks first. */
function meetingPoint(m: number, n: number): (index: number) => Rendezvous {
  const addresses = new Map<number, string>();
  let allMet: () => void = () => undefined;
  const met = new Promise<void>((resolve) => {
    allMet = resolve;
  });
  return (index) => ({
    exchange: async (address) => {
      addresses.set(index, address);
      if (addresses.size === m + n) allMet();
      await met;
      const all = Array.from({ length: m + n }, (_, worker) => addresses.get(worker) ?? '');
      return { attention: all.slice(0, m), expert: all.slice(m) };
    },
  });
}
