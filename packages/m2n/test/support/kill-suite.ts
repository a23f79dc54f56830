import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { expertRank } from '@megascale/core';
import type { PlainTransportOptions } from '@megascale/core/testing';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { plugin } from '../../src/index.js';
import { killStates, type KillState } from './kill-states.js';
import { Participant, runKill } from './killed-pair.js';
import { endpointFilesOf, namedSegments } from './shared-memory-files.js';

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
  peerTimeoutMs: 5000,
  spinUs: 0,
  gather: { type: 'lockstep' },
};
/** Ends the wait for a worker that died before it had an address. */
const stopAfterMs = 500;
/** Longer than any state takes; the states that nothing else ends are stopped sooner. */
const patientMs = 20_000;

/** What a process holds: descriptors, threads and mapped segments. */
interface Holdings {
  readonly descriptors: number;
  readonly threads: number;
  readonly segments: number;
}

function holdingsOf(processId: number): Holdings {
  const process = `/proc/${processId}`;
  const maps = readFileSync(`${process}/maps`, 'utf8').split('\n');
  return {
    descriptors: readdirSync(`${process}/fd`).length,
    threads: readdirSync(`${process}/task`).length,
    segments: maps.filter((line) => line.includes('memfd:')).length,
  };
}

export interface KillSuite {
  readonly transport: 'shm' | 'tcp' | 'fabric';
  readonly provider?: string;
  readonly states: readonly KillState[];
  /** Deaths after which nothing may be left of any; 0 counts nothing. */
  readonly leakRounds?: number;
}

/** Kills a worker in each of the states; the other one must notice, and go on with a new one. */
export async function killSuite(suite: KillSuite): Promise<void> {
  const { transport, provider, states, leakRounds = 0 } = suite;
  const factory = plugin.transports?.find(({ name }) => name === transport);
  const probe = await factory?.probe();
  const title = provider === undefined ? transport : `${transport} (${provider})`;
  const changes = provider === undefined ? {} : { network: { provider } };
  const isThere = probe?.available === true && process.platform === 'linux';

  describe.runIf(isThere)(`a worker killed over ${title}`, () => {
    let survivor: Participant;
    beforeEach(() => {
      survivor = new Participant();
    });
    afterEach(() => {
      survivor.kill();
    });
    const run = (kill: KillState, victim: Participant) => {
      const limitMs = kill.killedAt === 'start' ? stopAfterMs : patientMs;
      return runKill(survivor, kill, {
        transport,
        options: { ...options, ...changes },
        stopAfterMs: limitMs,
        victim,
      });
    };

    it.each(states)(
      '$victim, $state: the survivor knows, and can go on with others',
      async (kill) => {
        const victim = new Participant();
        const report = await run(kill, victim);
        expect(survivor.endedBy).toBeUndefined();
        expect(report?.trouble).toEqual([]);
        // A network may not learn of a death before its connections stand: the limit ends that
        // wait.
        const mayTimeOut = transport !== 'shm' && kill.killedAt === 'addresses';
        const codes = mayTimeOut ? [kill.code, 'ERR_PEER_TIMEOUT'] : [kill.code];
        expect(report?.error?.code, report?.error?.message).toBeOneOf(codes);
        const last = report?.outcomes.at(-1)?.error;
        if (last !== undefined) expect(last.message).toContain(`${kill.victim} rank 0`);
        const next = new Participant();
        const again = await run(quiet(kill.victim), next);
        expect(survivor.endedBy).toBeUndefined();
        expect(again?.error).toBeUndefined();
        await expect
          .poll(() => endpointFilesOf(survivor.processId, victim.processId, next.processId), {
            timeout: 20_000,
          })
          .toEqual([]);
      },
    );

    if (leakRounds === 0) return;
    it('leaves nothing behind, however often and in whatever state', async () => {
      const rounds = killStates.filter(({ killedAt }) => killedAt !== 'start');
      for (const kill of rounds) await run(kill, new Participant());
      const before = await settled(survivor);
      const names = namedSegments();
      let next = new Participant();
      for (let round = 0; round < leakRounds; round++) {
        const kill = rounds[round % rounds.length];
        const victim = next;
        next = new Participant();
        if (kill !== undefined) await run(kill, victim);
      }
      next.kill();
      const grown = (): string[] => {
        const after = holdingsOf(survivor.processId);
        const kinds = ['descriptors', 'threads', 'segments'] as const;
        return kinds.filter((kind) => after[kind] > before[kind]);
      };
      await expect.poll(grown, { timeout: 20_000 }).toEqual([]);
      // Other tests may own some for a while.
      await expect
        .poll(() => namedSegments().filter((name) => !names.includes(name)), { timeout: 20_000 })
        .toEqual([]);
    }, 180_000);
  });
}

/**
 * All goes well until the new worker closes and dies; the other one knows of its close before it
 * closes itself.
 */
function quiet(victim: KillState['victim']): KillState {
  const die = { type: 'die' } as const;
  const close = { type: 'close' } as const;
  const step = { type: 'step', tokens: [3, 4] } as const;
  if (victim === 'attention') {
    return { state: 'closed', victim, attention: [step, close, die], expert: [{ type: 'serve' }] };
  }
  return {
    state: 'closed',
    victim,
    attention: [step, { ...step, throws: 'ERR_PEER_CLOSED' }, close],
    // Two micro-batches over two layers.
    expert: [{ type: 'serve', inputs: 4 }, close, die],
  };
}

/** Once nothing changes any more: memory is given back by the collector. */
async function settled({ processId }: Participant): Promise<Holdings> {
  let last = holdingsOf(processId);
  for (let same = 0; same < 10;) {
    await delay(30);
    const now = holdingsOf(processId);
    same = JSON.stringify(now) === JSON.stringify(last) ? same + 1 : 0;
    last = now;
  }
  return last;
}
