import { partition } from '../../graph/partition.js';
import type { AttentionStageOptions, ExpertStage, ExpertStageOptions } from '../../spec/backend.js';
import { expertId, layerIndex, microBatchIndex } from '../../spec/units.js';
import type { BackendUnderTest } from './backend-under-test.js';
import type { ContractTest } from '../contract-test.js';
import { expectRejects, expectThrows } from './expect-numbers.js';
import { allocateSlot, type Colocated } from './run-colocated.js';
import { tinyMixtral } from './tiny-models.js';
import { validBatch, validInput } from './wrong-calls.js';

const model = tinyMixtral();
const layer = layerIndex(0);
const first = microBatchIndex(0);

/** Stages work between `bindSlots` and `close`, and refuse calls before and after. */
export function backendLifecycle(test: ContractTest, subject: BackendUnderTest): void {
  test('stages work on bound slots only, and slots must fit', async () => {
    const backend = await subject.shared();
    const attention = await backend.createAttentionStage(attentionOptions());
    const expert = await backend.createExpertStage(expertOptions());
    expectThrows('ERR_SHAPE', 'embed before bindSlots', () => {
      attention.embed(validBatch);
    });
    expectThrows('ERR_SHAPE', 'run before bindSlots', () => {
      expert.run(layer, validInput);
    });
    const slot = allocateSlot(backend, model.graph, 64);
    expectThrows('ERR_SHAPE', 'one slot for two micro-batches', () => {
      attention.bindSlots([slot]);
    });
    for (const part of ['hidden', 'expertIds', 'weights', 'answers'] as const) {
      const short = backend.allocate(slot[part].byteLength - 64);
      expectThrows('ERR_SHAPE', `${part} too short`, () => {
        attention.bindSlots([slot, { ...slot, [part]: short }]);
      });
    }
    attention.bindSlots([slot, allocateSlot(backend, model.graph, 64)]);
    attention.embed(validBatch);
    attention.close();
    expert.close();
  });

  test('creating a stage names a tensor that is missing', async () => {
    const other = tinyMixtral({ config: { num_hidden_layers: 1 } });
    const backend = await subject.shared();
    const { weights } = other;
    const attention = backend.createAttentionStage({ ...attentionOptions(), weights });
    await expectRejects('ERR_WEIGHT_MISSING', 'attention', attention);
    const expert = backend.createExpertStage({ ...expertOptions(), weights });
    await expectRejects('ERR_WEIGHT_MISSING', 'experts', expert);
  });

  test('creating a stage refuses sizes that cannot be', async () => {
    const backend = await subject.shared();
    const oddPages = backend.createAttentionStage({ ...attentionOptions(), kvPageSize: 20 });
    await expectRejects('ERR_SHAPE', 'pages of 20 tokens', oddPages);
    const options = expertOptions();
    const whole = options.experts;
    const wrong = [[1, 0], [2, 2], [8], [-1]].map((ids) => [...whole.slice(1), ids.map(expertId)]);
    for (const experts of [...wrong, whole.slice(1), [...whole, []]]) {
      const stage = backend.createExpertStage({ ...options, experts });
      await expectRejects('ERR_SHAPE', `experts ${JSON.stringify(experts)}`, stage);
    }
  });

  test('closing twice is closing once, and a closed stage refuses every call', async () => {
    const colocated = await subject.open(model);
    const { attention } = colocated;
    const stage = onlyExpertStage(colocated);
    attention.embed(validBatch);
    for (let time = 0; time < 2; time += 1) colocated.close();
    const calls: Readonly<Record<string, () => void>> = {
      bindSlots: () => {
        attention.bindSlots(colocated.slots);
      },
      embed: () => {
        attention.embed(validBatch);
      },
      attend: () => {
        attention.attend(layer, first);
      },
      combine: () => {
        attention.combine(layer, first);
      },
      logits: () => {
        attention.logits(first);
      },
      run: () => {
        stage.run(layer, validInput);
      },
    };
    for (const [what, call] of Object.entries(calls)) expectThrows('ERR_DEVICE', what, call);
  });

  test('closing a backend closes its stages', async () => {
    const backend = await subject.create();
    const attention = await backend.createAttentionStage(attentionOptions());
    for (let time = 0; time < 2; time += 1) backend.close();
    expectThrows('ERR_DEVICE', 'embed', () => {
      attention.embed(validBatch);
    });
    expectThrows('ERR_DEVICE', 'allocate', () => backend.allocate(64));
    const created = backend.createExpertStage(expertOptions());
    await expectRejects('ERR_DEVICE', 'createExpertStage', created);
  });
}

/** What `openColocated` asks for by default. */
function attentionOptions(): AttentionStageOptions {
  return {
    program: partition(model.graph).attention,
    weights: model.weights,
    kvPageCount: 32,
    kvPageSize: 16,
    microBatchCount: 2,
    tokensPerMicroBatchMax: 64,
    positionsMax: 512,
  };
}

function expertOptions(): ExpertStageOptions {
  const program = partition(model.graph).expert;
  const all = Array.from({ length: program.sizes.expertCount }, (_, id) => expertId(id));
  return {
    program,
    weights: model.weights,
    experts: program.stages.map(() => all),
    rowsMax: 128,
  };
}

export function onlyExpertStage(colocated: Colocated): ExpertStage {
  const [local] = colocated.expertStages;
  if (local === undefined) throw new RangeError('There is no expert stage.');
  return local.stage;
}
