import {
  layerIndex,
  microBatchIndex,
  type AttentionPort,
  type Clock,
  type EmulatedLink,
  type ExpertPort,
} from '@megascale/core';
import {
  participantProcesses,
  participantThreads,
  transportContract,
} from '@megascale/core/testing';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  directionOf,
  frameBytes,
  LinkModel,
  replyBytes,
} from '../../src/testing/emulated-link/link-model.js';
import { loopbackMemory } from '../../src/memory/loopback-memory.js';
import { portShape } from '../../src/protocol/port-shape.js';
import type { DoorbellWait } from '../../src/memory/shared-memory.js';
import { shm } from '../../src/transports/shm.js';
import { sharedMemoryTransport } from '../../src/transports/transport.js';
import { openPorts, smallOptions, type PortOptions } from '../support/one-thread.js';

const startFile = new URL('../support/participant.mjs', import.meta.url);
const options = { emulatedLink: { latencyUs: 300, jitterUs: 200, gigabitsPerSecond: 0.1 } };

transportContract({
  name: 'loopback over an emulated link',
  transport: 'loopback',
  start: participantThreads(startFile),
  options,
  skip: {
    'a dead expert rank is ERR_PEER_CLOSED': 'the end of a thread cannot be seen from another',
    'a dead attention rank is ERR_PEER_CLOSED': 'the end of a thread cannot be seen from another',
  },
});

transportContract({
  name: 'shm over an emulated link',
  transport: 'shm',
  start: participantProcesses(startFile),
  options,
  absent: async () => {
    const probe = await shm.probe();
    return probe.available ? undefined : probe.reason;
  },
});

/** Moves on by one at each reading, and by what a wait would have slept. */
class StepClock implements Clock {
  timeUs = 1_000_000;
  nowUs(): number {
    return this.timeUs++;
  }
  wallMs(): number {
    return 0;
  }
}

/** Readings of the clock between a message's end of travel and the caller's next look at it. */
const readingsMax = 60;

interface Pair {
  readonly attention: AttentionPort;
  readonly expert: ExpertPort;
  readonly clock: StepClock;
}

async function openPair(emulatedLink: EmulatedLink, changes: Partial<PortOptions> = {}) {
  const clock = new StepClock();
  const factory = sharedMemoryTransport(
    'loopback',
    () => ({
      ...loopbackMemory,
      // The clock stands still while ports open; the process's own does not.
      openingMsMin: 120_000,
      waitForRing: (_: Int32Array, wait: DoorbellWait) => {
        clock.timeUs += wait.timeoutUs;
      },
    }),
    () => Promise.resolve({ available: true }),
  );
  const plain = { ...smallOptions, ...changes, emulatedLink };
  const { attention, expert } = await openPorts(factory, plain, clock);
  const [[sender], [receiver]] = [attention, expert];
  if (sender === undefined || receiver === undefined) throw new Error('Expected two ports.');
  return { attention: sender, expert: receiver, clock };
}

const shape = portShape(smallOptions as Parameters<typeof portShape>[0]);
const pair = { attention: 0, expert: 0 };
const microBatches = [microBatchIndex(0), microBatchIndex(1)];

function serve({ expert }: Pair): void {
  const input = expert.receive();
  if (input !== undefined) expert.reply(input);
}

describe('an emulated link', () => {
  it('hands over frames and answers when its model says, and not before', async () => {
    const links = fc.record({
      latencyUs: fc.integer({ min: 0, max: 5000 }),
      jitterUs: fc.integer({ min: 0, max: 500 }),
      gigabitsPerSecond: fc.constantFrom(0.0001, 0.01, 10),
      seed: fc.integer(),
    });
    const steps = fc.array(
      fc.record({
        tokens: fc.integer({ min: 1, max: 3 }),
        pauseUs: fc.integer({ min: 0, max: 9000 }),
      }),
      { minLength: 1, maxLength: 5 },
    );
    await fc.assert(
      fc.asyncProperty(links, steps, async (link, plan) => {
        const ports = await openPair(link, { layerCount: 1 });
        const there = modelsOf(link, 'frames');
        const back = modelsOf(link, 'replies');
        for (const { tokens, pauseUs } of plan) {
          ports.clock.timeUs += pauseUs;
          ports.attention.beginStep([microBatchIndex(0)]);
          const ticket = travels(ports.clock, there, frameBytes(shape, tokens, tokens), {
            send: () => ports.attention.dispatch(layerIndex(0), microBatchIndex(0), tokens),
            receive: () => ports.expert.receive(),
          });
          travels(ports.clock, back, replyBytes(shape, tokens), {
            send: () => {
              if (ticket.received !== undefined) ports.expert.reply(ticket.received);
            },
            receive: () => {
              ports.attention.combine(ticket.sent);
            },
          });
          ports.attention.release(ticket.sent);
        }
      }),
      { numRuns: 50 },
    );
  });

  it('lets the answers of several micro-batches be taken in any order', async () => {
    const ports = await openPair({ latencyUs: 1000, gigabitsPerSecond: 0.001 });
    const { attention, clock } = ports;
    attention.beginStep(microBatches);
    const tickets = microBatches.map((each) => attention.dispatch(layerIndex(0), each, 3));
    serve(ports);
    const answered = clock.timeUs;
    serve(ports);
    for (const ticket of tickets.toReversed()) attention.combine(ticket);
    expect(clock.timeUs - answered).toBeGreaterThan(1000);
    const combinedUs = clock.timeUs;
    for (const ticket of tickets) attention.release(ticket);
    expect(clock.timeUs).toBe(combinedUs);
  });

  it('longer than the limit is ERR_PEER_TIMEOUT and names the place', async () => {
    const ports = await openPair({ latencyUs: 9000 }, { peerTimeoutMs: 5 });
    ports.attention.beginStep(microBatches);
    const ticket = ports.attention.dispatch(layerIndex(0), microBatchIndex(0), 1);
    ports.attention.dispatch(layerIndex(0), microBatchIndex(1), 1);
    serve(ports);
    const combine = () => {
      ports.attention.combine(ticket);
    };
    expect(combine).toThrow(expect.objectContaining({ code: 'ERR_PEER_TIMEOUT' }) as Error);
    expect(combine).toThrow('attention rank 0 at layer 0, micro-batch 0 waited');
    expect(combine).toThrow('expert rank 0');
  });

  it('still brings the answer of an expert rank that closed after it', async () => {
    const ports = await openPair({ latencyUs: 3000 });
    ports.attention.beginStep(microBatches);
    const ticket = ports.attention.dispatch(layerIndex(0), microBatchIndex(0), 1);
    ports.attention.dispatch(layerIndex(0), microBatchIndex(1), 1);
    serve(ports);
    ports.expert.close();
    ports.attention.combine(ticket);
    ports.attention.release(ticket);
  });
});

/**
 * The same link twice: fed with the earliest and with the latest time a message may have been sent
 * at.
 */
function modelsOf(link: EmulatedLink, carries: 'frames' | 'replies') {
  const model = () => new LinkModel(link, directionOf(shape, pair, carries));
  return { earliest: model(), latest: model() };
}

/** Sends and receives one message, and expects the time in between that the models say. */
function travels<Sent, Received>(
  clock: StepClock,
  { earliest, latest }: ReturnType<typeof modelsOf>,
  bytes: number,
  { send, receive }: { readonly send: () => Sent; readonly receive: () => Received },
) {
  const soonestUs = earliest.arrivalUs(clock.timeUs, bytes);
  const sent = send();
  const latestUs = latest.arrivalUs(clock.timeUs, bytes);
  const received = receive();
  expect(clock.timeUs).toBeGreaterThanOrEqual(soonestUs);
  expect(clock.timeUs).toBeLessThan(latestUs + readingsMax);
  return { sent, received };
}
