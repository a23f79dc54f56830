import type { Clock } from '../clock.js';
import type { Placement } from '../routing/local-experts.js';
import type { AttentionSlot, ExpertInput, ExpertSlot } from './backend.js';
import type { DType, MemoryKind, Region } from './region.js';
import type { AttentionRank, ExpertRank, LayerIndex, MicroBatchIndex } from './units.js';

export interface TransportFactory {
  readonly specVersion: 1;
  /** 'loopback', 'shm', 'tcp', … */
  readonly name: string;
  /** Memory it can send from without a staging copy. Checked against Backend.memory at start-up. */
  readonly memoryKinds: readonly MemoryKind[];
  /** Never throws: a missing system facility is an answer. */
  probe(): Promise<
    { readonly available: true } | { readonly available: false; readonly reason: string }
  >;
  /** Resolves when all N expert peers are reachable. Rejects with 'ERR_PEER_TIMEOUT', 'ERR_PROTOCOL_VERSION'. */
  openAttention(rank: AttentionRank, options: TransportOptions): Promise<AttentionPort>;
  /** Resolves when all M attention peers are reachable. */
  openExpert(rank: ExpertRank, options: TransportOptions): Promise<ExpertPort>;
}

export interface TransportOptions {
  readonly attentionWorkerCount: number; // M
  readonly expertWorkerCount: number; // N
  /**
   * placement[layer][expertId] = the expert ranks that hold it, at least one; which of them takes a row is a pure function of the micro-batch. A
   * placement of one layer is that of all layers.
   */
  readonly placement: Placement;
  /** An expert's rows of a micro-batch are split over its holders in parts of at least so many. Default: `defaultSplitRowsMin`. */
  readonly splitRowsMin?: number;
  /** The epoch of `placement`, the same on every worker: 0 to `placementEpochMax`. Default 0. */
  readonly placementEpoch?: number;
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly topK: number;
  /** Of `hidden` and `answers`: Backend.activationDType, the same on every worker. */
  readonly dtype: DType;
  /** Tokens one attention worker may put in one slot. */
  readonly tokensPerSlotMax: number;
  /** Micro-batches in flight (m). All slots are allocated in open; none later. */
  readonly slotCount: number;
  /** A peer that owes an answer and is silent for longer is declared lost. The rendezvous is not bounded by it: others may still load weights. */
  readonly peerTimeoutMs: number;
  /** How long a wait spins before it parks. 0 on machines with fewer cores than workers. */
  readonly spinUs: number;
  /** A spin lets other threads have the core, and only its own time counts. For workers that take turns on the same cores. */
  readonly spinYields?: boolean;
  readonly gather: GatherPolicy;
  /**
   * Who sums a token's answers. 'attention' (default): experts answer one row per (token, expert), so that results do not depend on
   * the placement. 'expert': one row per (token, expert rank), weighted and summed there: fewer bytes, and law 1 holds for one placement only.
   */
  readonly combine?: 'attention' | 'expert';
  /** How this worker's transport memory is made. */
  readonly memory?: MemoryHints;
  /** For transports that reach other hosts. */
  readonly network?: NetworkOptions;
  /** Lets the link look slower than it is, for benchmarks and tests on one machine. */
  readonly emulatedLink?: EmulatedLink;
  readonly rendezvous: Rendezvous;
  readonly clock: Clock;
  /** Asked at least every 50 ms during a wait; a value ends the wait with 'ERR_PEER_CLOSED' and this text. */
  readonly stopReason: () => string | undefined;
  /** Where slot memory comes from when the transport does not need memory of its own kind. */
  allocate(byteLength: number): Region;
}

/**
 * When an expert worker starts, and on what. 'lockstep': on one micro-batch of a layer, once all ranks in step sent theirs. 'layer':
 * on all micro-batches of a layer at once, so that its weights are read once per step. 'window': on what came of a layer in some time.
 */
export type GatherPolicy =
  | { readonly type: 'lockstep' }
  | { readonly type: 'layer' }
  | { readonly type: 'window'; readonly windowUs: number };

/** Wishes: memory that cannot be had so is made as usual. */
export interface MemoryHints {
  /** Pages of 2 MiB or more, from the system's reserve. */
  readonly hugePages?: boolean;
  /** The memory node whose cores read and write the slots most. */
  readonly numaNode?: number;
}

export interface NetworkOptions {
  /** IPv4 or IPv6 address that this worker listens on and that its peers connect to. Default: 127.0.0.1. */
  readonly host?: string;
  /** Default 0: any free port. */
  readonly port?: number;
  /** At least 16 bytes, the same on every worker: peers prove that they know it, and every frame is authenticated with keys made of it. */
  readonly preSharedKey?: string;
  /** How long the kernel polls the device for a socket's next packet. Default 0: it does not. */
  readonly busyPollUs?: number;
  /** The IP header's traffic class (DSCP × 4) of data, where the network gives classes different queues. */
  readonly trafficClass?: number;
  /** Congestion control algorithm of TCP, or what a fabric's provider calls it. */
  readonly congestionControl?: string;
  /** Fabrics: the libfabric provider. Default: the best present of 'verbs', 'efa', 'tcp;ofi_rxm', 'shm'. */
  readonly provider?: string;
}

/** Every message takes `latencyUs` plus up to `jitterUs`, and one direction of a pair of ranks carries `gigabitsPerSecond`. */
export interface EmulatedLink {
  /** One way. */
  readonly latencyUs: number;
  readonly jitterUs?: number;
  /** Default: unlimited. */
  readonly gigabitsPerSecond?: number;
  /** Of the jitter. */
  readonly seed?: number;
}

/** A placement that frames may name, and its number: of two placements, the later has the greater one. */
export interface PlacementEpoch {
  readonly epoch: number;
  /** As in `TransportOptions`, for the same layers, experts and expert ranks. */
  readonly placement: Placement;
}

export const placementEpochMax = 2 ** 31 - 1;

/** Epochs that an expert port serves at a time. */
export const liveEpochsMax = 4;

/** How workers that cannot name each other yet trade addresses. One call per port, during open. */
export interface Rendezvous {
  /** Tells the others where this worker can be reached; resolves with everyone's address, by rank. */
  exchange(
    address: string,
  ): Promise<{ readonly attention: readonly string[]; readonly expert: readonly string[] }>;
}

/**
 * Attention side of M2N. All calls after open are synchronous, and all but `adoptPlacement` allocate nothing. Per pair of ranks, delivery
 * is in order and exactly once; nothing is promised across ranks.
 *
 * TransportError codes: 'ERR_PEER_TIMEOUT', 'ERR_PEER_CLOSED', and 'ERR_FRAME_INVALID' for a peer's frame are fatal for the port.
 * 'ERR_SLOT_BUSY', 'ERR_SLOT_OVERFLOW', and 'ERR_FRAME_INVALID' for steps or dispatches out of order or unknown expert ids are
 * the caller's bug, thrown before anything is sent. Calls after close throw 'ERR_PEER_CLOSED'.
 */
export interface AttentionPort {
  /** [slotCount] the memory of each micro-batch; the same objects for the port's life. */
  readonly slots: readonly AttentionSlot[];
  /**
   * Announces a step with these micro-batches, ascending. All its dispatches follow in the order of `pingPong`: layer by layer,
   * micro-batch by micro-batch. A parked rank is resumed by this call.
   */
  beginStep(microBatches: readonly MicroBatchIndex[]): void;
  /**
   * From the next `beginStep` on, rows go to the ranks of this placement, in frames of its epoch: a step runs in one. Every expert port
   * must have learnt it before. Of several before one `beginStep` the last holds.
   *
   * @throws TransportError 'ERR_FRAME_INVALID' for an epoch that is not greater than the last one's, ConfigError 'ERR_CONFIG_FIELD' for a
   * placement of other layers, experts or ranks.
   */
  adoptPlacement(placement: PlacementEpoch): void;
  /** M2N. Sends each of the slot's first `tokens` rows to the workers of its experts. 'ERR_SLOT_BUSY' until the last ticket of the slot is released. */
  dispatch(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): DispatchTicket;
  /** N2M. Returns when every answer is in the slot's `answers`. A ticket is single-use. */
  combine(ticket: DispatchTicket): void;
  /** Call once AttentionStage.combine has read the answers: the slot may be filled again. */
  release(ticket: DispatchTicket): void;
  /** Says once that no step follows for now: expert workers do not wait for this rank until `beginStep`. */
  park(): void;
  /** Idempotent; peers see the end of this rank. */
  close(): void;
}

/** Expert side of M2N. */
export interface ExpertPort {
  /** [M × slotCount] slot of (attention rank a, micro-batch i) at a × slotCount + i. */
  readonly slots: readonly ExpertSlot[];
  /** Blocks for the next work: one layer's rows, merged over ranks in step. Undefined once every attention rank closed. The object is reused. */
  receive(): ExpertInput | undefined;
  /** Makes the written answers of the last `receive` visible to their ranks. */
  reply(input: ExpertInput): void;
  /**
   * Frames of this epoch are served from now on, besides those of the epochs before it: attention ranks change over one by one, and one
   * input may merge rows of several epochs. At most `liveEpochsMax` at a time. May be called between calls and from `stopReason`. A frame with rows of an epoch that was
   * not learnt, or was retired, ends the port with 'ERR_FRAME_INVALID'.
   *
   * @throws TransportError 'ERR_FRAME_INVALID' for an epoch that is not greater than the last one's, or one too many; ConfigError
   * 'ERR_CONFIG_FIELD' for a placement of other layers, experts or ranks.
   */
  learnPlacement(placement: PlacementEpoch): void;
  /** No rank will use this epoch, or an earlier one, again. The newest stays, whatever is said. */
  retirePlacements(upTo: number): void;
  close(): void;
}

/** Proof that a dispatch is under way. The port reuses the object once the ticket is released. */
export interface DispatchTicket {
  readonly layer: LayerIndex;
  readonly microBatch: MicroBatchIndex;
  readonly tokens: number;
}
