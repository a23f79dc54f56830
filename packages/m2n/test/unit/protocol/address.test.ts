import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, type Address } from '../../../src/protocol/address.js';
import type { PortShape } from '../../../src/protocol/port-shape.js';
import { protocolVersion } from '../../../src/protocol/wire-format.js';

const shape: PortShape = {
  attentionWorkerCount: 1,
  expertWorkerCount: 1,
  layerCount: 1,
  hiddenSize: 8,
  topK: 1,
  elementBytes: 2,
  dtype: 'bf16',
  tokensPerSlotMax: 1,
  slotCount: 1,
  expertCount: 1,
  placementHash: -5,
  combine: 'attention',
};
const address: Address = {
  transport: 'shm',
  version: protocolVersion,
  role: 'expert',
  rank: 3,
  nonce: [-1, 7],
  shape,
  location: { fd: 5 },
};
const expected = { transport: 'shm', role: 'expert', rank: 3, shape } as const;
const changed = (change: object): string => JSON.stringify({ ...address, ...change });
const code = (text: string): unknown => {
  try {
    parseAddress(text, expected);
  } catch (error) {
    return (error as { code?: unknown }).code;
  }
  return undefined;
};

describe('an address', () => {
  it('comes back as it was given', () => {
    expect(parseAddress(formatAddress(address), expected)).toEqual(address);
  });

  it.each([
    ['another version', { version: protocolVersion + 1 }, 'protocol version'],
    ['another transport', { transport: 'tcp' }, 'transport'],
    ['another hidden size', { shape: { ...shape, hiddenSize: 16 } }, 'hiddenSize'],
    ['another placement', { shape: { ...shape, placementHash: 0 } }, 'placementHash'],
    ['a missing field', { shape: {} }, 'attentionWorkerCount'],
  ])('of %s is ERR_PROTOCOL_VERSION and names it', (_, change, field) => {
    expect(code(changed(change))).toBe('ERR_PROTOCOL_VERSION');
    expect(() => parseAddress(changed(change), expected)).toThrow(field);
  });

  it.each([
    ['of another rank', { rank: 2 }],
    ['of another pool', { role: 'attention' }],
    ['without a location', { location: null }],
    ['with a list for a location', { location: [] }],
    ['without a shape', { shape: 'none' }],
    ['with a long nonce', { nonce: [1, 2, 3] }],
    ['with a nonce of no words', { nonce: [0.5, 2 ** 40] }],
  ])('%s is ERR_FRAME_INVALID', (_, change) => {
    expect(code(changed(change))).toBe('ERR_FRAME_INVALID');
  });

  it.each(['', '{', '[]', '7', 'null', `"${'x'.repeat(10_000)}"`])('%.10j is none', (text) => {
    expect(code(text)).toBe('ERR_FRAME_INVALID');
  });
});
