import { systemClock, type Clock } from '../clock.js';
import type { BackendFactory } from '../spec/backend.js';
import { InMemoryBackend } from '../stages/in-memory-backend.js';
import { NullAttentionStage } from './null-attention-stage.js';
import { NullExpertStage } from './null-expert-stage.js';
import { nullTimes, type NullClock } from './null-times.js';
import { sleepUntil, type WaitUntil } from './wait-until.js';

/**
 * Makes a `null` backend. Its stages take the time that the settings give (`NullTimes`) and compute
 * nothing, so that the length of every schedule is known in advance. While a stage waits, other
 * threads have its core: workers overlap on fewer cores than there are workers, as pools of devices
 * would.
 */
export function createNullBackend(
  clock: Clock = systemClock,
  waitUntil: WaitUntil = sleepUntil(clock),
): BackendFactory {
  return {
    specVersion: 1,
    name: 'null',
    probe: async () => ({
      available: true,
      device: 'a clock; computes nothing',
      variants: ['wait'],
    }),
    create: async (options = {}) => {
      const times = nullTimes(options.settings);
      const nullClock: NullClock = { times, waitUntil, nowUs: () => clock.nowUs() };
      return new InMemoryBackend(
        {
          name: 'null',
          isa: 'wait',
          attentionStage: (stageOptions) => new NullAttentionStage(stageOptions, nullClock),
          expertStage: (stageOptions) => new NullExpertStage(stageOptions, nullClock),
        },
        options,
      );
    },
  };
}

/** The `null` backend on the system clock. */
export const nullBackend: BackendFactory = createNullBackend();
