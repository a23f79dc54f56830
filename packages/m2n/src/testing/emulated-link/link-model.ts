import { ConfigError, type EmulatedLink } from '@megascale/core';
import type { PortShape } from '../../protocol/port-shape.js';
import { frameWords, replyWords } from '../../protocol/wire-format.js';

const latencyUsMax = 60_000_000;
/** 1 Gbit/s carries this many bytes in a microsecond. */
const bytesPerUsOfGigabit = 125;

/**
 * One direction of a pair of ranks, as a link that is busy with one message at a time:
 *
 *     leaves  = max(sent, the one before has left) + bytes / rate
 *     arrives = max(leaves + latency + jitter, the one before has arrived)
 *
 * Messages arrive in the order they were sent. The same seed and messages give the same times.
 */
export class LinkModel {
  #leftUs = 0;
  #arrivedUs = 0;
  readonly #latencyUs: number;
  readonly #jitterUs: number;
  readonly #usPerByte: number;
  #randomState: number;

  /** `direction` tells the directions of one deployment apart: each has a jitter of its own. */
  constructor(
    { latencyUs, jitterUs = 0, gigabitsPerSecond = Infinity, seed = 0 }: EmulatedLink,
    direction: number,
  ) {
    this.#latencyUs = latencyUs;
    this.#jitterUs = jitterUs;
    this.#usPerByte = 1 / (gigabitsPerSecond * bytesPerUsOfGigabit);
    this.#randomState = Math.imul(seed ^ Math.imul(direction + 1, 0x9e3779b9), 0x85ebca6b);
  }

  /** When the next message, of so many bytes and sent at `sentUs`, is there. */
  arrivalUs(sentUs: number, bytes: number): number {
    this.#leftUs = Math.max(sentUs, this.#leftUs) + bytes * this.#usPerByte;
    const arrivesUs = this.#leftUs + this.#latencyUs + this.#jitterUs * this.#fraction();
    this.#arrivedUs = Math.max(this.#arrivedUs, arrivesUs);
    return this.#arrivedUs;
  }

  /** 0 ≤ value < 1 (splitmix32). */
  #fraction(): number {
    this.#randomState = (this.#randomState + 0x9e3779b9) | 0;
    let bits = this.#randomState;
    bits = Math.imul(bits ^ (bits >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  }
}

/** Numbers the directions of all pairs of a deployment: frames, then replies. */
export function directionOf(
  shape: PortShape,
  pair: { readonly attention: number; readonly expert: number },
  carries: 'frames' | 'replies',
): number {
  const { attentionWorkerCount, expertWorkerCount } = shape;
  const index = pair.attention * expertWorkerCount + pair.expert;
  return carries === 'frames' ? index : attentionWorkerCount * expertWorkerCount + index;
}

/**
 * What a frame takes on a wire with the routes of its tokens and the rows of those that have one to
 * its expert rank.
 */
export function frameBytes(shape: PortShape, tokens: number, tokensWithRoute: number): number {
  const route = 2 * Int32Array.BYTES_PER_ELEMENT;
  return 4 * frameWords + tokens * shape.topK * route + tokensWithRoute * rowBytes(shape);
}

/** What a reply takes on a wire with so many rows. */
export function replyBytes(shape: PortShape, rows: number): number {
  return 4 * replyWords + rows * rowBytes(shape);
}

function rowBytes({ hiddenSize, elementBytes }: PortShape): number {
  return hiddenSize * elementBytes;
}

/**
 * Of a slot's first `tokens`, those with at least one route to this expert rank. `expertRanks` is
 * [tokens, topK].
 */
export function tokensWithRoute(
  expertRanks: Int32Array,
  { tokens, topK }: { readonly tokens: number; readonly topK: number },
  rank: number,
): number {
  let count = 0;
  for (let token = 0; token < tokens; token++) {
    for (let index = token * topK; index < (token + 1) * topK; index++) {
      if (expertRanks[index] !== rank) continue;
      count++;
      break;
    }
  }
  return count;
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming the field that no link can have. */
export function checkEmulatedLink(link: EmulatedLink): void {
  const { latencyUs, jitterUs = 0, gigabitsPerSecond = 1, seed = 0 } = link;
  const upTo = `from 0 to ${latencyUsMax}`;
  const rules: readonly [keyof EmulatedLink, boolean, string][] = [
    ['latencyUs', latencyUs >= 0 && latencyUs <= latencyUsMax, upTo],
    ['jitterUs', jitterUs >= 0 && jitterUs <= latencyUsMax, upTo],
    ['gigabitsPerSecond', gigabitsPerSecond > 0, 'above 0'],
    ['seed', Number.isSafeInteger(seed), 'a whole number'],
  ];
  const [field, , allowed] = rules.find(([, isAllowed]) => !isAllowed) ?? [];
  if (field === undefined) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `TransportOptions.emulatedLink.${field} is ${link[field]}; it must be ${allowed}.`,
    details: { field, value: link[field] },
  });
}
