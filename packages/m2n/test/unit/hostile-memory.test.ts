import {
  layerIndex,
  microBatchIndex,
  type AttentionPort,
  type DispatchTicket,
  type ExpertPort,
} from '@megascale/core';
import { beforeEach, describe, expect, it } from 'vitest';
import { frameKind, frameWord } from '../../src/protocol/wire-format.js';
import { loopbackMemory } from '../../src/memory/loopback-memory.js';
import { portShape } from '../../src/protocol/port-shape.js';
import { attentionSegmentLayout } from '../../src/protocol/segment-layout.js';
import { sharedMemoryTransport } from '../../src/transports/transport.js';
import { openPorts, smallOptions } from '../support/one-thread.js';

const layer = layerIndex(0);
const microBatch = microBatchIndex(0);

describe('memory written by something else than a port', () => {
  let attention: AttentionPort;
  let expert: ExpertPort;
  let ticket: DispatchTicket;
  /** Of the attention rank. */
  let words: Int32Array;
  const pair = pairOf();

  beforeEach(async () => {
    const buffers: ArrayBufferLike[] = [];
    const spied = sharedMemoryTransport(
      'loopback',
      () => ({
        ...loopbackMemory,
        create: (byteLength: number) => {
          const owned = loopbackMemory.create(byteLength);
          buffers.push(owned.buffer);
          return owned;
        },
      }),
      () => Promise.resolve({ available: true }),
    );
    const ports = await openPorts(spied, smallOptions);
    [attention, expert] = [expectOne(ports.attention), expectOne(ports.expert)];
    const largest = buffers.toSorted((a, b) => b.byteLength - a.byteLength)[0];
    words = new Int32Array(largest ?? new ArrayBuffer(0));
    expertIdsOf(attention).fill(1);
    attention.beginStep([microBatch]);
    ticket = attention.dispatch(layer, microBatch, 2);
  });

  it('is served as long as it is left alone', () => {
    const input = expert.receive();
    expect(input?.rowCount).toBe(2);
    if (input !== undefined) expert.reply(input);
  });

  it.each([
    ['another kind', frameWord.kind, frameKind.rows + 0x10],
    ['another version', frameWord.kind, frameKind.rows + 0x100],
    ['a sequence number out of order', frameWord.sequence, 2],
    ['a layer there is not', frameWord.layer, 2],
    ['a negative layer', frameWord.layer, -1],
    ['a micro-batch there is not', frameWord.microBatch, 2],
    ['more tokens than a slot holds', frameWord.tokens, 4],
    ['a negative token count', frameWord.tokens, -1],
    ['more rows than tokens', frameWord.rowCount, 3],
    ['another row count than its routes have', frameWord.rowCount, 1],
    ['an announcement that is not ahead', frameWord.nextMicroBatch, 0],
    ['a next layer there is not', frameWord.nextLayer, 1 << 30],
    ['a step beyond exact numbers', frameWord.stepHigh, 1 << 30],
  ])('a frame with %s is ERR_FRAME_INVALID', (_, word, value) => {
    words[pair.ringFrames + word] = value;
    if (word === frameWord.nextMicroBatch) {
      words[pair.ringFrames + frameWord.nextLayer] = 0;
    }
    const receive = () => expert.receive();
    expect(receive).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
    expect(receive, 'the port has ended').toThrow('attention rank 0');
  });

  it('more frames than a ring holds are ERR_FRAME_INVALID', () => {
    Atomics.store(words, pair.ringHead, 1000);
    expect(() => expert.receive()).toThrow(
      expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error,
    );
  });

  it.each([2, -2, 1 << 30])('an expert id that became %d is ERR_FRAME_INVALID', (id) => {
    expertIdsOf(attention).fill(id);
    const receive = () => expert.receive();
    expect(receive).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
    expect(receive).toThrow('attention rank 0 at layer 0, micro-batch 0');
  });

  it.each([1, -1, 1 << 30])('rows taken away for expert rank %d are ERR_FRAME_INVALID', (rank) => {
    const [slot] = attentionSegmentLayout(shapeOf()).slots;
    words[(slot?.expertRanks.byteOffset ?? 0) / 4] = rank;
    const receive = () => expert.receive();
    expect(receive).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
    expect(receive).toThrow('2 rows were announced, 1 are there');
  });

  it('frames read that were never sent are ERR_FRAME_INVALID', () => {
    Atomics.store(words, pair.ringTail, 7);
    expect(() => {
      attention.park();
    }).toThrow(expect.objectContaining({ code: 'ERR_FRAME_INVALID' }) as Error);
  });

  it('an answer to another frame is none', () => {
    const input = expert.receive();
    if (input === undefined) throw new Error('Expected work.');
    expert.close();
    Atomics.store(words, pair.replies, 2);
    expect(() => {
      attention.combine(ticket);
    }).toThrow(expect.objectContaining({ code: 'ERR_PEER_CLOSED' }) as Error);
  });
});

function pairOf() {
  const [pair] = attentionSegmentLayout(shapeOf()).pairs;
  if (pair === undefined) throw new Error('There is one expert rank.');
  return pair;
}

function shapeOf() {
  return portShape(smallOptions as Parameters<typeof portShape>[0]);
}

/** [tokensPerSlotMax, topK] of the first slot. */
function expertIdsOf(port: AttentionPort): Int32Array {
  const bytes = port.slots[0]?.expertIds.bytes;
  if (bytes === undefined) throw new Error('Slots are host memory.');
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function expectOne<Item>(items: readonly Item[]): Item {
  const [item] = items;
  if (item === undefined) throw new Error('Expected an item.');
  return item;
}
