import { systemClock, type Clock } from '../clock.js';
import { BackendError } from '../errors.js';
import { StageDoor } from '../reference/stage-door.js';
import type {
  AttentionStage,
  AttentionStageOptions,
  Backend,
  BackendFactory,
  BackendOptions,
  ExpertStage,
  ExpertStageOptions,
} from '../spec/backend.js';
import type { Region } from '../spec/region.js';
import { NullAttentionStage } from './null-attention-stage.js';
import { NullExpertStage } from './null-expert-stage.js';
import { nullTimes, type NullTimes } from './null-times.js';
import { sleepUntil, type WaitUntil } from './wait-until.js';

/** What the stages take their time with. */
export interface NullClock {
  readonly times: NullTimes;
  readonly waitUntil: WaitUntil;
  nowUs(): number;
}

/**
 * Stages that take the time they are told (`NullTimes`) and compute nothing: for schedules, whose law is then known in advance. Waiting
 * leaves the core to others, so that workers overlap on fewer cores than there are workers, as pools of devices would.
 */
export function createNullBackend(
  clock: Clock = systemClock,
  waitUntil: WaitUntil = sleepUntil(clock),
): BackendFactory {
  return {
    specVersion: 1,
    name: 'null',
    probe: () =>
      Promise.resolve({ available: true, device: 'a clock; computes nothing', variants: ['wait'] }),
    create: (options = {}) =>
      settle(() => {
        const times = nullTimes(options.settings);
        return new NullBackend(options, { times, waitUntil, nowUs: () => clock.nowUs() });
      }),
  };
}

export const nullBackend: BackendFactory = createNullBackend();

class NullBackend implements Backend {
  readonly name = 'null';
  readonly memory = 'host';
  readonly activationDType = 'f32';
  readonly isa = 'wait';
  readonly #clock: NullClock;
  readonly #door = new StageDoor('null backend');
  readonly #stages: { close(): void }[] = [];

  constructor({ isa }: BackendOptions, clock: NullClock) {
    this.#clock = clock;
    if (isa === undefined || isa === this.isa) return;
    throw new BackendError('ERR_BACKEND_UNAVAILABLE', {
      message: `The null backend has no variant ${isa}. Ask for ${this.isa}, or for none.`,
      details: { isa, variants: [this.isa] },
    });
  }

  allocate(byteLength: number): Region {
    this.#door.requireOpen();
    try {
      return { memory: 'host', byteLength, bytes: new Uint8Array(byteLength) };
    } catch (cause) {
      throw new BackendError('ERR_OUT_OF_MEMORY', {
        message: `Cannot allocate ${byteLength} bytes. Lower the slot sizes.`,
        details: { byteLength },
        cause,
      });
    }
  }

  createAttentionStage(options: AttentionStageOptions): Promise<AttentionStage> {
    return settle(() => this.#keep(() => new NullAttentionStage(options, this.#clock)));
  }

  createExpertStage(options: ExpertStageOptions): Promise<ExpertStage> {
    return settle(() => this.#keep(() => new NullExpertStage(options, this.#clock)));
  }

  close(): void {
    this.#door.close();
    for (const stage of this.#stages.splice(0)) stage.close();
  }

  #keep<Stage extends { close(): void }>(create: () => Stage): Stage {
    this.#door.requireOpen();
    const stage = create();
    this.#stages.push(stage);
    return stage;
  }
}

/** A promise of what `make` returns, rejected with what it throws. */
function settle<T>(make: () => T): Promise<T> {
  return new Promise((resolve) => {
    resolve(make());
  });
}
