import { hkdfSync } from 'node:crypto';
import type { Nonce } from '../protocol/address.js';

/**
 * What the keys of one pair of ports depend on besides the secret: all of it is known from the
 * rendezvous.
 */
export interface KeyContext {
  readonly attentionRank: number;
  readonly expertRank: number;
  readonly attentionNonce: Nonce;
  readonly expertNonce: Nonce;
  readonly layoutHash: number;
}

const keyBytes = 32;

/**
 * [64] the keys of both directions, attention to expert first: HKDF-SHA256 of the pre-shared key.
 * Both ports' nonces are its salt, so every pair of ports has keys of its own and a recorded
 * connection is worth nothing to the next.
 */
export function pairKeys(preSharedKey: string, context: KeyContext): Uint8Array {
  const { attentionNonce, expertNonce, attentionRank, expertRank, layoutHash } = context;
  const salt = new Uint8Array(Int32Array.of(...attentionNonce, ...expertNonce).buffer);
  const info = `megascale m2n tcp ${attentionRank} ${expertRank} ${layoutHash}`;
  return new Uint8Array(hkdfSync('sha256', preSharedKey, salt, info, 2 * keyBytes));
}
