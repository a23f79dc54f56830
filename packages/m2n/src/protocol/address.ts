import { TransportError } from '@megascale/core';
import type { PortShape } from './port-shape.js';
import type { Location } from '../memory/location.js';
import { addressCharactersMax, protocolVersion } from './wire-format.js';

/** Two 32-bit words that a segment's header repeats. */
export type Nonce = readonly [number, number];

export type Role = 'attention' | 'expert';

/** Where a worker's segment can be reached. Travels as JSON through the rendezvous. */
export interface Address {
  /** Name of the transport. */
  readonly transport: string;
  /** `protocolVersion` of the sender. */
  readonly version: number;
  readonly role: Role;
  readonly rank: number;
  /** [2] 32-bit words that the segment repeats: proof that the right memory was mapped. */
  readonly nonce: Nonce;
  readonly shape: PortShape;
  readonly location: Location;
}

export function formatAddress(address: Address): string {
  return JSON.stringify(address);
}

/** What the reader of an address knows before it reads. */
export interface ExpectedPeer {
  readonly transport: string;
  readonly role: Role;
  readonly rank: number;
  readonly shape: PortShape;
}

/**
 * Reads an address that came from outside and checks it against what this worker expects.
 *
 * @throws TransportError 'ERR_PROTOCOL_VERSION' when the peer speaks another version or was started
 * with other options (the message names the first that differs), 'ERR_FRAME_INVALID' when it is no
 * address.
 */
export function parseAddress(text: string, expected: ExpectedPeer): Address {
  const who = `${expected.role} rank ${expected.rank}`;
  const value = parseObject(text);
  if (value === undefined) throw invalid(who, 'it is not a JSON object');
  if (value['version'] !== protocolVersion) {
    throw mismatch(who, 'protocol version', value['version'], protocolVersion);
  }
  if (value['transport'] !== expected.transport) {
    throw mismatch(who, 'transport', value['transport'], expected.transport);
  }
  if (value['role'] !== expected.role || value['rank'] !== expected.rank) {
    throw invalid(who, `it belongs to ${show(value['role'])} rank ${show(value['rank'])}`);
  }
  const { nonce, shape, location } = value;
  if (!isObject(shape)) throw invalid(who, 'its shape is missing');
  for (const [field, number] of Object.entries(expected.shape)) {
    if (shape[field] !== number) throw mismatch(who, field, shape[field], number);
  }
  if (!isObject(location)) throw invalid(who, 'its location is missing');
  if (!isNonce(nonce)) throw invalid(who, 'its nonce is not two 32-bit integers');
  return { ...expected, version: protocolVersion, nonce, location };
}

function parseObject(text: unknown): Record<string, unknown> | undefined {
  if (typeof text !== 'string' || text.length > addressCharactersMax) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isNonce(value: unknown): value is [number, number] {
  const isWord = (word: unknown): boolean => Number.isInteger(word) && word === Number(word) >> 0;
  return Array.isArray(value) && value.length === 2 && value.every(isWord);
}

function mismatch(who: string, field: string, theirs: unknown, ours: unknown): TransportError {
  return new TransportError('ERR_PROTOCOL_VERSION', {
    message:
      `The ${field} of ${who} is ${show(theirs)}, here it is ${show(ours)}. Start all workers ` +
      `with the same version and the same options.`,
    details: { field, theirs, ours },
  });
}

function invalid(who: string, why: string): TransportError {
  return new TransportError('ERR_FRAME_INVALID', {
    message:
      `The address of ${who} cannot be used: ${why}. Check that the rendezvous hands on each ` +
      `worker's address unchanged and by rank.`,
    details: { who, why },
  });
}

/** For messages: foreign values, kept short. */
function show(value: unknown): string {
  const text = value === undefined ? 'missing' : JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
