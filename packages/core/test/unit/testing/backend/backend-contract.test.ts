import { afterAll, describe, expect, it } from 'vitest';
import { referenceBackend } from '../../../../src/reference/reference-backend.js';
import type {
  AttentionStage,
  Backend,
  BackendFactory,
  ExpertStage,
  MicroBatch,
} from '../../../../src/spec/backend.js';
import { backendOutputs } from '../../../../src/testing/backend/backend-outputs.js';
import { backendValidation } from '../../../../src/testing/backend/backend-validation.js';
import { backendLawOne } from '../../../../src/testing/backend/backend-law-one.js';
import { backendLifecycle } from '../../../../src/testing/backend/backend-lifecycle.js';
import { BackendUnderTest } from '../../../../src/testing/backend/backend-under-test.js';

/** Something a backend could do wrong, as changes of the reference's stages. */
interface Fault {
  readonly attention?: (stage: AttentionStage) => Partial<AttentionStage>;
  readonly expert?: (stage: ExpertStage) => Partial<ExpertStage>;
}

/** The stage with some methods replaced; the others keep working on the stage itself. */
function changed<Stage extends object>(stage: Stage, changes: Partial<Stage>): Stage {
  return new Proxy(stage, {
    get(target, name) {
      const own: unknown = Reflect.get(changes, name) ?? Reflect.get(target, name);
      return typeof own === 'function' ? (own.bind(target) as unknown) : own;
    },
  });
}

function faultyBackend(fault: Fault): BackendFactory {
  const spoil = (backend: Backend): Backend =>
    changed(backend, {
      createAttentionStage: async (options) => {
        const stage = await backend.createAttentionStage(options);
        return changed(stage, fault.attention?.(stage) ?? {});
      },
      createExpertStage: async (options) => {
        const stage = await backend.createExpertStage(options);
        return changed(stage, fault.expert?.(stage) ?? {});
      },
    });
  return {
    ...referenceBackend,
    create: async (options) => spoil(await referenceBackend.create(options)),
  };
}

function swallow(action: () => void): void {
  try {
    action();
  } catch {
    // The fault: nobody hears of it.
  }
}

const faults: Readonly<Record<string, { fault: Fault; mustFail: readonly string[] }>> = {
  'whose numbers depend on how many rows there are': {
    fault: {
      attention: (stage) => {
        let rows = 0;
        return {
          embed: (batch) => {
            rows = batch.tokenIds.length;
            stage.embed(batch);
          },
          logits: (index) => stage.logits(index).map((x) => (rows > 36 ? x : x * (1 + 2 ** -23))),
        };
      },
    },
    mustFail: [
      'mixtral: same bits in chunks of any size',
      'mixtral: same bits with any number of rows beside it',
    ],
  },
  'that reads pages in the order of their ids': {
    fault: {
      attention: (stage) => ({
        embed: (batch) => {
          stage.embed({ ...batch, kvPages: batch.kvPages.slice().fill(0) });
        },
      }),
    },
    mustFail: ['mixtral: same bits in a batch', 'mixtral: logits match the reference'],
  },
  'that adds a little to one of its answers': {
    fault: {
      expert: (stage) => {
        let answers: Float32Array | undefined;
        return {
          bindSlots: (slots) => {
            const bytes = slots[0]?.answers.bytes;
            if (bytes !== undefined) answers = new Float32Array(bytes.buffer);
            stage.bindSlots(slots);
          },
          run: (layer, input) => {
            stage.run(layer, input);
            const last = input.answerRow[input.rowCount - 1] ?? 0;
            answers?.subarray(last * 128, (last + 1) * 128).forEach((x, i, row) => {
              row[i] = x + 0.3;
            });
          },
        };
      },
    },
    mustFail: ['mixtral: answers of the experts match the reference'],
  },
  'that embeds anything': {
    fault: {
      attention: (stage) => ({
        embed: (batch) => {
          swallow(() => {
            stage.embed(batch);
          });
        },
      }),
    },
    mustFail: [
      'embed refuses a negative page, and nothing changes',
      'embed refuses no offsets, and nothing changes',
      'stages work on bound slots only, and slots must fit',
    ],
  },
  'that forgets the micro-batch in force when it refuses another': {
    fault: {
      attention: (stage) => {
        let before: MicroBatch | undefined;
        return {
          embed: (batch) => {
            if (before !== undefined) stage.embed({ ...before, logitsRows: new Int32Array() });
            stage.embed(batch);
            before = batch;
          },
        };
      },
    },
    mustFail: ['a refused embed leaves the micro-batch in force'],
  },
  'that writes before it checks its rows': {
    fault: {
      expert: (stage) => ({
        run: (layer, input) => {
          const [rowCount, rowsPerExpert] = [1, Int32Array.of(1, 0, 0, 0, 0, 0, 0, 0)];
          swallow(() => {
            stage.run(layer, { ...input, layer, rowCount, rowsPerExpert });
          });
          stage.run(layer, input);
        },
      }),
    },
    mustFail: ['run refuses a slot that is not bound, and writes nothing'],
  },
  'that works on after close': {
    fault: {
      attention: () => ({ close: () => undefined }),
      expert: () => ({ close: () => undefined }),
    },
    mustFail: ['closing twice is closing once, and a closed stage refuses every call'],
  },
};

describe('the backend contract finds a backend', () => {
  for (const [name, { fault, mustFail }] of Object.entries(faults)) {
    const subject = new BackendUnderTest(faultyBackend(fault));
    afterAll(() => {
      subject.close();
    });
    const bodies = new Map<string, () => void | Promise<void>>();
    const collect = (title: string, body: () => void | Promise<void>): void => {
      bodies.set(title, body);
    };
    backendOutputs(collect, subject, { logits: 1e-5, expertOutputs: 1e-5 });
    backendLawOne(collect, subject);
    backendValidation(collect, subject);
    backendLifecycle(collect, subject);

    it.each(mustFail)(`${name}: %s`, async (title) => {
      const body = bodies.get(title);
      if (body === undefined) throw new Error(`The suite has no test "${title}".`);
      const failure = await Promise.resolve()
        .then(body)
        .then(
          () => 'the test passed',
          (error: unknown) => error,
        );
      expect(failure).toMatchObject({ name: 'AssertionError' });
    });
  }
});
