import type { Clock } from '../clock.js';
import type { Placement } from '../routing/local-experts.js';
import type { AttentionSlot, ExpertInput, ExpertSlot } from './backend.js';
import type { DType, MemoryKind, Region } from './region.js';
import type { AttentionRank, ExpertRank, LayerIndex, MicroBatchIndex } from './units.js';

export interface TransportFactory {
  readonly specVersion: 1;
  /** Stable name used in configuration and metrics: 'loopback', 'shm', 'tcp', 'fabric'. */
  readonly name: string;
  /**
   * Memory that the transport sends from without a staging copy. The engine compares it with
   * `Backend.memory` at start-up.
   */
  readonly memoryKinds: readonly MemoryKind[];
  /** Reports whether the system has what the transport needs. Never throws. */
  probe(): Promise<
    { readonly available: true } | { readonly available: false; readonly reason: string }
  >;
  /**
   * Resolves when all N expert peers are reachable. Rejects with TransportError
   * 'ERR_PEER_TIMEOUT' or 'ERR_PROTOCOL_VERSION'.
   */
  openAttention(rank: AttentionRank, options: TransportOptions): Promise<AttentionPort>;
  /** Resolves when all M attention peers are reachable. */
  openExpert(rank: ExpertRank, options: TransportOptions): Promise<ExpertPort>;
}

export interface TransportOptions {
  readonly attentionWorkerCount: number; // M
  readonly expertWorkerCount: number; // N
  /**
   * placement[layer][expertId] = the expert ranks that hold the expert, at least one. Which of them
   * takes a row is a pure function of the micro-batch. A placement with one layer serves all
   * layers.
   */
  readonly placement: Placement;
  /**
   * Least rows of one part when the rows of one expert are split over the ranks that hold it.
   * Default: `defaultSplitRowsMin`.
   */
  readonly splitRowsMin?: number;
  /** The epoch of `placement`, the same on every worker, 0 … `placementEpochMax`. Default 0. */
  readonly placementEpoch?: number;
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly topK: number;
  /**
   * Element type of `hidden` and `answers`: `Backend.activationDType`, the same on every worker.
   */
  readonly dtype: DType;
  /** Most tokens that one attention worker puts in one slot. */
  readonly tokensPerSlotMax: number;
  /** Micro-batches in flight (m). The transport allocates all slots when it opens. */
  readonly slotCount: number;
  /**
   * A port declares a peer lost that owes a message and sends nothing for longer. The rendezvous
   * has no such limit, because other workers may still load weights.
   */
  readonly peerTimeoutMs: number;
  /** How long a wait spins before it parks. Use 0 on machines with fewer cores than workers. */
  readonly spinUs: number;
  /**
   * Whether a spinning wait yields its core to other threads, and counts only its own time. For
   * workers that share cores.
   */
  readonly spinYields?: boolean;
  readonly gather: GatherPolicy;
  /**
   * Which side sums the expert outputs of a token. 'attention' (default): expert workers return one
   * row per (token, expert), so that results do not depend on the placement. 'expert': they return
   * one weighted sum per (token, expert rank), which is fewer bytes; law 1 then holds for one
   * placement only.
   */
  readonly combine?: 'attention' | 'expert';
  /** How the transport allocates its memory on this worker. */
  readonly memory?: MemoryHints;
  /** For transports that reach other hosts. */
  readonly network?: NetworkOptions;
  /** Makes the link slower than it is, for benchmarks and tests on one machine. */
  readonly emulatedLink?: EmulatedLink;
  readonly rendezvous: Rendezvous;
  readonly clock: Clock;
  /**
   * A waiting port calls this at least every 50 ms. A text ends the wait with TransportError
   * 'ERR_PEER_CLOSED' and this text.
   */
  readonly stopReason: () => string | undefined;
  /** Allocates slot memory for a transport that does not need memory of its own kind. */
  allocate(byteLength: number): Region;
}

/**
 * What an expert worker gathers before it computes. 'lockstep': one micro-batch of a layer from all
 * attention ranks in step. 'layer': all micro-batches of a layer, so that the weights of the layer
 * are read once per step. 'window': the frames of a layer that arrive within `windowUs`.
 */
export type GatherPolicy =
  | { readonly type: 'lockstep' }
  | { readonly type: 'layer' }
  | { readonly type: 'window'; readonly windowUs: number };

/** How to allocate memory if the system can. Where it cannot, memory is allocated as usual. */
export interface MemoryHints {
  /** Use pages of 2 MiB or more from the system's reserve. */
  readonly hugePages?: boolean;
  /** The NUMA node whose cores read and write the slots most. */
  readonly numaNode?: number;
}

export interface NetworkOptions {
  /**
   * Address (IPv4 or IPv6) that this worker listens on and peers connect to. Default: 127.0.0.1.
   */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /**
   * At least 16 bytes, the same on every worker. Peers prove that they know it, and keys derived
   * from it authenticate every frame.
   */
  readonly preSharedKey?: string;
  /**
   * How long the kernel polls the device for the next packet of a socket. Default: 0, no polling.
   */
  readonly busyPollUs?: number;
  /** Traffic class (DSCP × 4) in the IP header of data, for networks with a queue per class. */
  readonly trafficClass?: number;
  /** Congestion control algorithm, by its name in TCP or in the fabric's provider. */
  readonly congestionControl?: string;
  /** The libfabric provider. Default: the first present of 'verbs', 'efa', 'tcp;ofi_rxm', 'shm'. */
  readonly provider?: string;
}

/**
 * A link in which each message takes `latencyUs` plus up to `jitterUs`, and each direction of a
 * pair of ranks carries `gigabitsPerSecond`.
 */
export interface EmulatedLink {
  /** One way. */
  readonly latencyUs: number;
  readonly jitterUs?: number;
  /** Default: unlimited. */
  readonly gigabitsPerSecond?: number;
  /** Of the jitter. */
  readonly seed?: number;
}

/** A placement and its number. A later placement has a greater number; frames name it by number. */
export interface PlacementEpoch {
  readonly epoch: number;
  /** As in `TransportOptions`, for the same layers, experts and expert ranks. */
  readonly placement: Placement;
}

export const placementEpochMax = 2 ** 31 - 1;

/** Epochs that an expert port serves at a time. */
export const liveEpochsMax = 4;

/** Exchanges the addresses of workers. Each port calls it once, while it opens. */
export interface Rendezvous {
  /** Publishes the address of this worker; resolves with the addresses of all workers, by rank. */
  exchange(
    address: string,
  ): Promise<{ readonly attention: readonly string[]; readonly expert: readonly string[] }>;
}

/**
 * The attention side of M2N. All calls are synchronous, and all but `adoptPlacement` allocate
 * nothing. Delivery between two ranks is in order and exactly once; between different pairs of
 * ranks there is no order.
 *
 * Calls throw TransportError. 'ERR_PEER_TIMEOUT', 'ERR_PEER_CLOSED', and 'ERR_FRAME_INVALID' for a
 * peer's frame are fatal for the port. 'ERR_SLOT_BUSY', 'ERR_SLOT_OVERFLOW', and
 * 'ERR_FRAME_INVALID' for steps or dispatches out of order or for unknown expert ids are a bug of
 * the caller; the port throws them before it sends anything. Calls after `close` throw
 * 'ERR_PEER_CLOSED'.
 */
export interface AttentionPort {
  /** [slotCount] the memory of each micro-batch; the same objects as long as the port is open. */
  readonly slots: readonly AttentionSlot[];
  /**
   * Announces a step with these micro-batches, ascending. The dispatches of the step follow in the
   * order of `pingPong`: layer by layer, micro-batch by micro-batch. The call resumes a parked
   * rank.
   */
  beginStep(microBatches: readonly MicroBatchIndex[]): void;
  /**
   * From the next `beginStep` on, sends rows to the ranks of this placement, in frames of its
   * epoch. A step runs in one epoch. Every expert port must have learnt the placement before. Of
   * several calls before one `beginStep` the last one counts.
   *
   * @throws TransportError 'ERR_FRAME_INVALID' for an epoch that is not greater than the last one.
   * @throws ConfigError 'ERR_CONFIG_FIELD' for a placement of other layers, experts or ranks.
   */
  adoptPlacement(placement: PlacementEpoch): void;
  /**
   * Sends each of the first `tokens` rows of the slot to the expert workers of its experts (M2N).
   *
   * @throws TransportError 'ERR_SLOT_BUSY' until the last ticket of the slot is released.
   */
  dispatch(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): DispatchTicket;
  /** Returns when all expert outputs are in the slot's `answers` (N2M). A ticket is single-use. */
  combine(ticket: DispatchTicket): void;
  /** Frees the slot. Call it after `AttentionStage.combine` has read the expert outputs. */
  release(ticket: DispatchTicket): void;
  /** Announces a pause: expert workers do not wait for this rank until its next `beginStep`. */
  park(): void;
  /** Closes the port and notifies the peers. Idempotent. */
  close(): void;
}

/** The expert side of M2N. */
export interface ExpertPort {
  /** [M × slotCount] slot of (attention rank a, micro-batch i) at a × slotCount + i. */
  readonly slots: readonly ExpertSlot[];
  /**
   * Blocks until rows of a layer have arrived, merged over the attention ranks in step. Returns
   * undefined after every attention rank has closed. The port reuses the object.
   */
  receive(): ExpertInput | undefined;
  /** Makes the expert outputs for the last `receive` visible to the attention ranks. */
  reply(input: ExpertInput): void;
  /**
   * From now on accepts frames of this epoch besides those of earlier epochs, at most
   * `liveEpochsMax` at a time. Attention ranks adopt a placement one after the other, so one input
   * may merge rows of several epochs. May be called between other calls and from `stopReason`. A
   * frame with rows of an unknown or retired epoch ends the port with TransportError
   * 'ERR_FRAME_INVALID'.
   *
   * @throws TransportError 'ERR_FRAME_INVALID' for an epoch that is not greater than the last one,
   * or for one epoch too many.
   * @throws ConfigError 'ERR_CONFIG_FIELD' for a placement of other layers, experts or ranks.
   */
  learnPlacement(placement: PlacementEpoch): void;
  /** Retires this epoch and all earlier ones. The newest epoch always stays. */
  retirePlacements(upTo: number): void;
  close(): void;
}

/** A dispatch in flight. The port reuses the object after the ticket is released. */
export interface DispatchTicket {
  readonly layer: LayerIndex;
  readonly microBatch: MicroBatchIndex;
  readonly tokens: number;
}
