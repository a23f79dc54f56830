/**
 * A thread's place in the world, enough to reach its memory and to see its end. Plain data, travels
 * as JSON.
 */
export type Location = Readonly<Record<string, unknown>>;

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
 * How workers come to share memory and wake each other: all that differs between `loopback` and
 * `shm`. A wait may return early for no reason; a ring is never lost (see native/shm/doorbell.hpp).
 */
export interface SharedMemory {
  /** Name of the transport. */
  readonly name: string;
  create(byteLength: number): OwnedMemory;
  /**
   * Rejects when the memory cannot be reached or has another size. `location` comes from outside.
   */
  open(location: Location, byteLength: number): Promise<PeerMemory>;
  /** Sleeps until the doorbell of this segment rings, at most `wait.timeoutUs`. */
  waitForRing(words: Int32Array, wait: DoorbellWait): void;
  /** Wakes the owner of this segment, after its doorbell's count was raised. */
  wake(words: Int32Array): void;
}
