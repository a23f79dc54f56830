import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expertRank } from '@megascale/core';
import type { PlainTransportOptions } from '@megascale/core/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plugin } from '../../src/index.js';
import type { KillState } from '../support/kill-states.js';
import { Participant, runKill } from '../support/killed-pair.js';
import { endpointFilesOf } from '../support/shared-memory-files.js';

// libfabric's provider shm guards each endpoint's memory by a lock that lies in it. A
// process that is killed while it holds a lock leaves it taken. A test cannot kill at that instant, so it takes the lock
// itself and then kills.

const options: PlainTransportOptions = {
  attentionWorkerCount: 1,
  expertWorkerCount: 1,
  placement: [[[expertRank(0)], [expertRank(0)]]],
  layerCount: 2,
  hiddenSize: 8,
  topK: 2,
  dtype: 'f32',
  tokensPerSlotMax: 5,
  slotCount: 2,
  peerTimeoutMs: 20_000,
  spinUs: 0,
  gather: { type: 'lockstep' },
  network: { provider: 'shm' },
};
/** Of the provider's memory, as libfabric 1.17 lays it out. */
const versionKnown = 4;
const lockOffset = 24;

const pause = { type: 'sleep', ms: 600 } as const;
const untilKilled = { type: 'sleep', ms: 15_000 } as const;
const lost = 'ERR_PEER_CLOSED';
const step = { type: 'step', tokens: [3, 4] } as const;
const serve = { type: 'serve', throws: lost } as const;
const states: readonly KillState[] = [
  {
    state: 'its answer is on the way',
    victim: 'attention',
    attention: [step, untilKilled],
    expert: [{ type: 'serve', inputs: 3 }, pause, serve],
  },
  {
    state: 'it is to answer',
    victim: 'expert',
    attention: [pause, { ...step, throws: lost }],
    expert: [untilKilled],
  },
];

/** Of all its endpoints; false where their layout is another one, so that none was taken. */
function takeLocks({ processId }: Participant): boolean {
  const files = endpointFilesOf(processId);
  return files.length > 0 && files.every(takeLock);
}

function takeLock(file: string): boolean {
  const descriptor = openSync(`/dev/shm/${file}`, 'r+');
  try {
    const version = new Uint8Array(1);
    readSync(descriptor, version, 0, 1, 0);
    if (version[0] !== versionKnown) return false;
    writeSync(descriptor, new Int32Array(1), 0, 4, lockOffset);
    return true;
  } finally {
    closeSync(descriptor);
  }
}

const probe = await plugin.transports?.find(({ name }) => name === 'fabric')?.probe();
const isThere = probe?.available === true && process.platform === 'linux';

describe.runIf(isThere)('a worker killed with a lock of the provider shm', () => {
  let survivor: Participant;
  beforeEach(() => {
    survivor = new Participant();
  });
  afterEach(() => {
    survivor.kill();
  });
  /** One that is killed with its endpoint open leaves a file that no process is there to remove. */
  const expectNothingLeft = (victim: Participant) =>
    expect
      .poll(() => endpointFilesOf(survivor.processId, victim.processId), { timeout: 20_000 })
      .toEqual([]);

  it.each(states)('$victim, when $state', async (kill) => {
    let isTaken: boolean | undefined;
    const victim = new Participant();
    const report = await runKill(survivor, kill, {
      transport: 'fabric',
      options,
      stopAfterMs: 20_000,
      victim,
      meanwhile: async () => {
        await delay(300);
        isTaken = takeLocks(victim);
        await delay(600);
        victim.kill();
      },
    });
    expect(isTaken).toBeDefined();
    expect(survivor.endedBy).toBeUndefined();
    expect(report?.error?.code ?? report?.outcomes.at(-1)?.error?.code).toBe(lost);
    expect(report?.trouble).toEqual([]);
    await expectNothingLeft(victim);
  });

  it('of a worker that lives: all goes on after a while', async () => {
    const kill: KillState = {
      state: 'a lock of its memory was left taken',
      victim: 'expert',
      attention: [pause, step, { ...step, throws: lost }, { type: 'close' }],
      // Two micro-batches over two layers.
      expert: [{ type: 'serve', inputs: 4 }, { type: 'close' }, { type: 'die' }],
    };
    const victim = new Participant();
    const report = await runKill(survivor, kill, {
      transport: 'fabric',
      options,
      stopAfterMs: 20_000,
      victim,
      meanwhile: async () => {
        await delay(300);
        takeLocks(victim);
      },
    });
    expect(report?.error).toBeUndefined();
    expect(report?.outcomes.at(-1)).toMatchObject({ type: 'close' });
    expect(report?.trouble).toEqual([]);
    await expectNothingLeft(victim);
  });
});
