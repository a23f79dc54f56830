import { layerIndex, microBatchIndex, TransportError, type DispatchTicket } from '@megascale/core';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatAddress, parseAddress, type Address } from '../../src/protocol/address.js';
import { binding } from '../../src/memory/binding.js';
import { loopbackMemory } from '../../src/memory/loopback-memory.js';
import { portShape } from '../../src/protocol/port-shape.js';
import { shm } from '../../src/transports/shm.js';
import { shmMemory } from '../../src/memory/shm-memory.js';
import {
  frameKind,
  frameWord,
  frameWords,
  protocolVersion,
  replyWord,
  replyWords,
  ringFrames,
  segmentWord,
} from '../../src/protocol/wire-format.js';
import { FuzzPairs, fuzzShape, type FuzzPair } from '../support/fuzz-pair.js';

const { available } = await shm.probe();
const memories = [
  { name: 'loopback', memory: loopbackMemory },
  ...(available ? [{ name: 'shm', memory: shmMemory }] : []),
];
const runs = 2500;
const microBatches = [microBatchIndex(0), microBatchIndex(1)];

/** What a waiter may end with, whatever its peer wrote. */
const codes = ['ERR_FRAME_INVALID', 'ERR_PEER_TIMEOUT', 'ERR_PEER_CLOSED'];

const anyWord = fc.oneof(
  fc.integer({ min: -2, max: 5 }),
  fc.constantFrom(-(2 ** 31), 2 ** 31 - 1, 2 ** 30, 255, 256, frameKind.rows, frameKind.park),
  fc.integer(),
);
/** Words written one after the other: [offset in its area, value]. */
const writes = (words: number) =>
  fc.array(fc.tuple(fc.nat({ max: words - 1 }), anyWord), { minLength: 1, maxLength: 6 });

type Write = readonly [number, number];

function write(words: Int32Array, start: number, all: readonly Write[]): void {
  for (const [offset, value] of all) words[start + offset] = value;
}

/** Sends a step's first frames, with routes to both expert ranks. */
function dispatchSome({ attention }: FuzzPair): DispatchTicket[] {
  for (const { expertIds } of attention.slots) {
    const ids = new Int32Array(
      expertIds.bytes?.buffer ?? new ArrayBuffer(0),
      expertIds.bytes?.byteOffset,
      6,
    );
    ids.set([0, 1, 2, -1, 1, 2]);
  }
  attention.beginStep(microBatches);
  return microBatches.map((each) => attention.dispatch(layerIndex(0), each, 3));
}

/** Answers both frames of both expert ranks. */
function answerAll({ experts }: FuzzPair): void {
  for (const expert of experts) {
    for (let frame = 0; frame < microBatches.length; frame++) {
      const input = expert.receive();
      if (input !== undefined) expert.reply(input);
    }
  }
}

/** Serves until something ends it; what came in between is in range and bounded. */
function serveAll({ experts }: FuzzPair, rank: number): unknown {
  const expert = experts[rank];
  const rowsMax = fuzzShape.slotCount * fuzzShape.tokensPerSlotMax * fuzzShape.topK;
  for (let inputs = 0; inputs <= ringFrames; inputs++) {
    try {
      const input = expert?.receive();
      if (input === undefined) return undefined;
      expect(input.rowCount).toBeLessThanOrEqual(rowsMax);
      for (let row = 0; row < input.rowCount; row++) {
        expect(input.slotIndex[row]).toBeOneOf([0, 1]);
        expect(input.hiddenRow[row]).toBeOneOf([0, 1, 2]);
        expect(input.answerRow[row]).toBeOneOf([0, 1, 2, 3, 4, 5]);
      }
      expert?.reply(input);
    } catch (error) {
      return error;
    }
  }
  throw new Error('More inputs came than a ring holds frames.');
}

function expectTyped(error: unknown): void {
  if (error === undefined) return;
  expect(error).toBeInstanceOf(TransportError);
  expect(codes).toContain((error as TransportError).code);
}

describe.each(memories)('whatever stands in $name memory', ({ memory }) => {
  const pairs = new FuzzPairs(memory);

  it('frames with any words changed are served in range or end the port with a typed error', () => {
    fc.assert(
      fc.property(
        writes(2 * frameWords),
        fc.option(anyWord),
        fc.constantFrom('lockstep', 'layer', 'window'),
        (changes, head, type) => {
          const gather = type === 'window' ? { type, windowUs: 50 } : { type };
          const pair = pairs.next({ gather });
          const ring = pair.layout.pairs[0];
          dispatchSome(pair);
          write(pair.words, ring?.ringFrames ?? 0, changes);
          if (head !== null) pair.words[ring?.ringHead ?? 0] = head;
          expectTyped(serveAll(pair, 0));
          expectTyped(serveAll(pair, 1));
        },
      ),
      { numRuns: runs },
    );
  });

  it('rings of random words and heads are served in range or end the port with a typed error', () => {
    const words = fc.int32Array({ minLength: 4 * frameWords, maxLength: 4 * frameWords });
    const seeds = fc.record({ words, head: anyWord, kinds: fc.boolean(), sequences: fc.boolean() });
    fc.assert(
      fc.property(seeds, ({ words: random, head, kinds, sequences }) => {
        const pair = pairs.next();
        const ring = pair.layout.pairs[1];
        const start = ring?.ringFrames ?? 0;
        pair.words.set(random, start);
        for (let frame = 0; frame < ringFrames; frame++) {
          const at = start + frame * frameWords;
          if (kinds) pair.words[at + frameWord.kind] = frameKind.rows;
          if (sequences) pair.words[at + frameWord.sequence] = frame + 1;
        }
        pair.words[ring?.ringHead ?? 0] = head;
        expectTyped(serveAll(pair, 1));
      }),
      { numRuns: runs },
    );
  });

  it('routes with any entries changed are served in range or end the port with a typed error', () => {
    const table = fuzzShape.tokensPerSlotMax * fuzzShape.topK;
    fc.assert(
      fc.property(writes(table), writes(table), (ids, ranks) => {
        const pair = pairs.next();
        dispatchSome(pair);
        for (const { expertIds, expertRanks } of pair.layout.slots) {
          write(pair.words, expertIds.byteOffset / 4, ids);
          write(pair.words, expertRanks.byteOffset / 4, ranks);
        }
        expectTyped(serveAll(pair, 0));
        expectTyped(serveAll(pair, 1));
      }),
      { numRuns: runs },
    );
  });

  it('answers and control words of an expert rank end a wait in time and harm no other rank', () => {
    const wild = fc.record({
      answered: fc.boolean(),
      replies: fc.option(writes(fuzzShape.slotCount * replyWords)),
      tail: fc.option(anyWord),
      control: writes(segmentWord.peerMapped),
      emulated: fc.boolean(),
    });
    fc.assert(
      fc.property(wild, ({ answered, replies, tail, control, emulated }) => {
        const pair = pairs.next(emulated ? { emulatedLink: { latencyUs: 100 } } : {});
        const ring = pair.layout.pairs[0];
        const tickets = dispatchSome(pair);
        if (answered) answerAll(pair);
        if (replies !== null) write(pair.words, ring?.replies ?? 0, replies);
        if (tail !== null) pair.words[ring?.ringTail ?? 0] = tail;
        write(pair.expertWords[0] ?? pair.words, 0, control);
        let failure: unknown;
        try {
          const finish = (ticket: DispatchTicket): void => {
            pair.attention.combine(ticket);
            pair.attention.release(ticket);
          };
          tickets.forEach(finish);
          for (const each of microBatches) {
            finish(pair.attention.dispatch(layerIndex(1), each, 0));
          }
          pair.attention.beginStep(microBatches);
          pair.attention.dispatch(layerIndex(0), microBatchIndex(0), 1);
        } catch (error) {
          failure = error;
        }
        expectTyped(failure);
        // The other expert rank finds nothing wrong with what it was sent.
        const other = serveAll(pair, 1);
        expectTyped(other);
        expect((other as TransportError | undefined)?.code).not.toBe('ERR_FRAME_INVALID');
      }),
      { numRuns: runs },
    );
  });

  it('answers of the right frame count as that, whatever stands beside them', () => {
    fc.assert(
      fc.property(fc.tuple(anyWord, anyWord, anyWord), (stamps) => {
        const pair = pairs.next({ emulatedLink: { latencyUs: 100 } });
        const tickets = dispatchSome(pair);
        for (const ring of pair.layout.pairs) {
          for (const each of microBatches) {
            const reply = ring.replies + each * replyWords;
            write(
              pair.words,
              reply,
              stamps.map((value, index) => [index + 1, value] as const),
            );
            pair.words[reply + replyWord.sequence] = each + 1;
          }
        }
        for (const ticket of tickets) pair.attention.combine(ticket);
      }),
      { numRuns: 300 },
    );
  });
});

describe('an address from outside', () => {
  const shape = portShape(fuzzShape as Parameters<typeof portShape>[0]);
  const address: Address = {
    transport: 'shm',
    version: protocolVersion,
    role: 'expert',
    rank: 0,
    nonce: [1, 2],
    shape,
    location: { processId: 1, threadId: 1, startTicks: 0, fd: 3 },
  };
  const expected = { transport: 'shm', role: 'expert', rank: 0, shape } as const;
  const isTyped = (text: string): void => {
    try {
      parseAddress(text, expected);
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      expect(['ERR_FRAME_INVALID', 'ERR_PROTOCOL_VERSION']).toContain(error.code);
    }
  };

  it('is read or refused with a typed error, whatever it is', () => {
    const valid = formatAddress(address);
    const mutated = fc
      .array(fc.tuple(fc.nat({ max: valid.length }), fc.string({ maxLength: 3 })), { maxLength: 4 })
      .map((cuts) =>
        cuts.reduce(
          (text, [at, inserted]) => text.slice(0, at) + inserted + text.slice(at + 1),
          valid,
        ),
      );
    const field = fc.constantFrom(...Object.keys(address));
    const replaced = fc
      .tuple(field, fc.jsonValue())
      .map(([name, value]) => JSON.stringify({ ...address, [name]: value }));
    fc.assert(fc.property(fc.oneof(mutated, replaced, fc.string(), fc.json()), isTyped), {
      numRuns: 2000,
    });
  });

  it.runIf(available)('never maps what is no segment of its size', async () => {
    const own = binding().currentThread();
    const number = fc.oneof(fc.integer({ min: -1, max: 2000 }), fc.double(), fc.integer());
    const location = fc.record({
      processId: fc.oneof(fc.constant(own.processId), number),
      threadId: fc.oneof(fc.constant(own.threadId), number),
      startTicks: number,
      fd: fc.oneof(fc.integer({ min: 0, max: 60 }), number, fc.string()),
    });
    await fc.assert(
      fc.asyncProperty(location, async (where) => {
        await expect(shmMemory.open(where, 12_345_678)).rejects.toThrow();
      }),
      { numRuns: 1000 },
    );
  });
});
