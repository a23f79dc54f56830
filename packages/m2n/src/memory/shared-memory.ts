import type { TransportOptions } from '@megascale/core';
import type { Nonce, Role } from '../protocol/address.js';
import type { PortShape } from '../protocol/port-shape.js';
import type { AttentionSegmentLayout } from '../protocol/segment-layout.js';
import type { Location } from './location.js';

/** Memory this thread made for its peers. */
export interface OwnedMemory {
  readonly buffer: ArrayBufferLike;
  readonly location: Location;
  /** No peer needs to find it any more; those who have it keep it. */
  unlist(): void;
}

/** A peer's memory, seen from here. */
export interface PeerMemory {
  readonly buffer: ArrayBufferLike;
  /** False once the peer's thread is known to have ended. Allocates nothing. */
  isAlive(): boolean;
  /** Networks: why the peer's segment is in state 'lost'. */
  lostBecause?(): PeerLoss;
}

/** How a network lost a peer. */
export interface PeerLoss {
  readonly code: 'ERR_PEER_CLOSED' | 'ERR_FRAME_INVALID' | 'ERR_PROTOCOL_VERSION';
  /** 'its connection broke: …', without a full stop. */
  readonly why: string;
}

/** Of the peer whose memory is opened, checked. */
export interface PeerAddress {
  readonly role: Role;
  readonly rank: number;
  readonly nonce: Nonce;
}

/** What a wait on a doorbell needs; the object is reused. */
export interface DoorbellWait {
  /** The doorbell's count before the caller last looked at its work. */
  seen: number;
  spinUs: number;
  /** The spin lets other threads have the core, and only its own time counts. */
  spinYields: boolean;
  /** Spinning included. */
  timeoutUs: number;
}

/**
 * How workers come to share memory and wake each other: all that differs between transports. Over
 * `loopback` and `shm` the memory is one; a network keeps copies of it alike, and `wake` of a
 * peer's words means: send what has changed. A wait may return early for no reason; a ring is never
 * lost (see native/shm/doorbell.hpp).
 */
export interface SharedMemory {
  /** Name of the transport. */
  readonly name: string;
  create(byteLength: number): OwnedMemory;
  /**
   * Rejects when the memory cannot be reached or has another size. `location` comes from outside.
   */
  open(location: Location, byteLength: number, peer: PeerAddress): Promise<PeerMemory>;
  /** Sleeps until the doorbell of this segment rings, at most `wait.timeoutUs`. */
  waitForRing(words: Int32Array, wait: DoorbellWait): void;
  /** Wakes the owner of this segment, after its doorbell's count was raised. */
  wake(words: Int32Array): void;
  /** A wait makes this memory move: words do not change before it. */
  readonly waitsDrive?: boolean;
  /** Opening may take this long however soon an answer is due. Default 0. */
  readonly openingMsMin?: number;
  /**
   * The port is closed; called once, after its segment says so and every peer was rung. What
   * networks still have to say goes out in the background.
   */
  close?(): void;
}

/** What one port's memory may know when it is made. */
export interface PortContext {
  readonly role: Role;
  readonly rank: number;
  readonly options: TransportOptions;
  readonly shape: PortShape;
  /** What the own segment's header will hold: fresh for each port. */
  readonly nonce: Nonce;
  /** Of every attention segment. */
  readonly layout: AttentionSegmentLayout;
}
