import { BackendError } from '../errors.js';

/** Makes the bits of an f32 an integer that is ordered like the number: negative ones are reversed. */
const magnitude = 0x7fffffff;
/** From here on no finite number: +∞, then NaN. Reversed, from here down: −∞, then NaN. */
const infinityKey = 0x7f800000;
const minusInfinityKey = -1 - infinityKey;
const zeroKey = 0;
const minusZeroKey = -1;

/**
 * The lowest id of the greatest of `logits`, [1 …]; checks every one. Compares the numbers as integers, which takes no conversion
 * and finds what is not finite at the two ends of the order: with 32 thousand logits per token this loop is most of
 * what choosing greedily costs.
 *
 * @throws BackendError 'ERR_DEVICE' when a logit is not finite.
 */
export function greatestLogit(logits: Float32Array): number {
  const bits = new Int32Array(logits.buffer, logits.byteOffset, logits.length);
  let greatest = minusInfinityKey;
  let least = infinityKey;
  let best = 0;
  for (let id = 0; id < bits.length; id++) {
    const word = bits[id] ?? 0;
    const key = word ^ ((word >> 31) & magnitude);
    if (key > greatest) {
      greatest = key;
      best = id;
    }
    if (key < least) least = key;
  }
  if (greatest >= infinityKey || least <= minusInfinityKey) throw brokenLogit(logits);
  // Zeros of both signs are equal.
  return greatest === zeroKey ? firstZero(bits) : best;
}

function firstZero(bits: Int32Array): number {
  return bits.findIndex((word) => {
    const key = word ^ ((word >> 31) & magnitude);
    return key === zeroKey || key === minusZeroKey;
  });
}

function brokenLogit(logits: Float32Array): BackendError {
  const tokenId = logits.findIndex((logit) => !Number.isFinite(logit));
  const logit = logits[tokenId];
  return new BackendError('ERR_DEVICE', {
    message: `The logit of token ${tokenId} is ${logit}: the backend computed something that is not a number. Check the checkpoint, then run the same prompt on the reference backend.`,
    details: { tokenId, logit: String(logit) },
  });
}
