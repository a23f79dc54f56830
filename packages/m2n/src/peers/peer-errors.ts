import { TransportError } from '@megascale/core';
import type { Position } from '../protocol/frame.js';
import type { PeerLoss } from '../memory/shared-memory.js';

/** 'attention rank 0 at layer 3, micro-batch 1' */
export function at(who: string, position: Omit<Position, 'step'>): string {
  return `${who} at layer ${position.layer}, micro-batch ${position.microBatch}`;
}

/** `waiter` says where it is, `peer` who owes it something. */
export interface Wait {
  readonly waiter: string;
  readonly peer: string;
  readonly waitedMs: number;
  /** What else is known: whom the peer waits for itself. */
  readonly note?: string | undefined;
}

export function peerTimeout({ waiter, peer, waitedMs, note }: Wait): TransportError {
  return new TransportError('ERR_PEER_TIMEOUT', {
    message:
      `${waiter} waited ${Math.round(waitedMs)} ms for ${peer}, which did not answer` +
      `${note === undefined ? '' : ` (${note})`}. Look at that worker's log, or raise peerTimeoutMs ` +
      `if one layer may take this long.`,
    details: { waiter, peer, waitedMs },
  });
}

export function peerClosed(wait: Wait): TransportError {
  return peerLost(wait, 'ERR_PEER_CLOSED');
}

export function peerLost(
  { waiter, peer, waitedMs, note }: Wait,
  code: PeerLoss['code'],
): TransportError {
  return new TransportError(code, {
    message:
      `${waiter} waited ${Math.round(waitedMs)} ms for ${peer}, but ${note ?? 'it closed its port'}. ` +
      `Start that worker again, or place its experts on another one.`,
    details: { waiter, peer, waitedMs },
  });
}

export function stopped(waiter: string, reason: string): TransportError {
  return new TransportError('ERR_PEER_CLOSED', {
    message: `${waiter} stopped waiting: ${reason}`,
    details: { waiter, reason },
  });
}

export function frameInvalid(what: string, remedy: string): TransportError {
  return new TransportError('ERR_FRAME_INVALID', { message: `${what}. ${remedy}` });
}

export const foreignFrameRemedy =
  'Its memory was written by something else than a port of this version; start that worker again.';

export function slotBusy(what: string, remedy: string): TransportError {
  return new TransportError('ERR_SLOT_BUSY', { message: `${what}. ${remedy}` });
}

export function portClosed(who: string): TransportError {
  return new TransportError('ERR_PEER_CLOSED', {
    message: `The port of ${who} is closed. Open a new one.`,
  });
}
