import { expect } from 'vitest';
import { partition } from '../../graph/partition.js';
import { RowList } from '../../routing/row-list.js';
import type { Backend, ExpertStage } from '../../spec/backend.js';
import type { DType } from '../../spec/region.js';
import { expertId, layerIndex, type ExpertId, type LayerIndex } from '../../spec/units.js';
import type { BackendUnderTest } from './backend-under-test.js';
import type { ContractTest } from '../contract-test.js';
import { expectSameBits, expectThrows } from './expect-numbers.js';
import { readActivations, writeActivations } from './region-elements.js';
import { allocateSlot } from './run-colocated.js';
import { SeededRandom } from '../seeded-random.js';
import { tinyFamilies, type TinyModel } from './tiny-models.js';

const tokens = 24;

/** Experts come and go while a stage serves: what is here answers as if it had always been here. */
export function backendMovingExperts(test: ContractTest, subject: BackendUnderTest): void {
  for (const { family, make } of tinyFamilies) {
    test(`${family}: experts that were loaded and dropped leave the bits of the others, and their own, as they are`, async () => {
      const backend = await subject.shared();
      const model = make();
      const random = new SeededRandom(41);
      const { expertCount } = model.graph.sizes;
      const all = Array.from({ length: expertCount }, (_, id) => expertId(id));
      const layers = partition(model.graph).expert.stages.map((_, layer) => layerIndex(layer));
      const resident = layers.map((layer) => new Set(all.slice(layer, layer + 2)));
      const sets = () => resident.map((ids) => [...ids].sort((a, b) => a - b));
      const moving = await openExperts(backend, model, sets());
      for (let move = 0; move < 12; move += 1) {
        for (const layer of layers) {
          const [expert = expertId(0)] = random.shuffle(all);
          if (resident[layer]?.delete(expert) === true) {
            moving.stage.drop(layer, expert);
          } else {
            moving.stage.load(layer, expert);
            resident[layer]?.add(expert);
          }
        }
        const now = sets();
        const fresh = await openExperts(backend, model, now);
        for (const layer of layers) {
          const routes = randomRoutes(random, now[layer] ?? [], model.graph.sizes.topK);
          const found = moving.answers(layer, routes);
          expectSameBits(found, fresh.answers(layer, routes), `experts ${JSON.stringify(now)}`);
        }
        fresh.stage.close();
      }
      moving.stage.close();
    });
  }

  test('run refuses rows for an expert that is not here, and writes nothing', async () => {
    const [tiny] = tinyFamilies;
    if (tiny === undefined) throw new Error('There are families.');
    const model = tiny.make();
    const start = partition(model.graph).expert.stages.map(() => [1, 2].map(expertId));
    const experts = await openExperts(await subject.shared(), model, start);
    const { stage } = experts;
    const [layer, other] = [layerIndex(0), layerIndex(1)];
    const refused = (at: LayerIndex, id: number, what: string): void => {
      expectThrows('ERR_SHAPE', what, () => experts.answers(at, Int32Array.of(id)));
      expect(
        experts.answerBytes().every((byte) => byte === 0),
        'nothing was written',
      ).toBe(true);
    };
    experts.answers(layer, Int32Array.of(1));
    refused(layer, 3, 'an expert that never was here');
    stage.load(layer, expertId(3));
    experts.answers(layer, Int32Array.of(3));
    refused(other, 3, 'an expert that is here in another layer');
    stage.drop(layer, expertId(1));
    refused(layer, 1, 'an expert that was dropped');
    experts.answers(other, Int32Array.of(1));
    stage.close();
  });

  test('load and drop refuse what the model has not, do nothing twice, and say how many bytes', async () => {
    const [tiny] = tinyFamilies;
    if (tiny === undefined) throw new Error('There are families.');
    const model = tiny.make();
    const start = partition(model.graph).expert.stages.map(() => [expertId(0)]);
    const { stage } = await openExperts(await subject.shared(), model, start);
    const { expertCount } = model.graph.sizes;
    const layer = layerIndex(0);
    const wrong: Readonly<Record<string, () => number>> = {
      'a layer past the last': () => stage.load(layerIndex(99), expertId(1)),
      'a negative layer': () => stage.load(layerIndex(-1), expertId(1)),
      'an expert past the last': () => stage.load(layer, expertId(expertCount)),
      'a negative expert': () => stage.load(layer, expertId(-1)),
      'dropping of a layer past the last': () => stage.drop(layerIndex(99), expertId(0)),
      'dropping an expert past the last': () => stage.drop(layer, expertId(expertCount)),
    };
    for (const [what, call] of Object.entries(wrong)) expectThrows('ERR_SHAPE', what, call);
    expect(stage.load(layer, expertId(0)), 'here already').toBe(0);
    const bytes = stage.load(layer, expertId(1));
    expect(stage.load(layer, expertId(1)), 'loaded twice').toBe(0);
    expect(stage.drop(layer, expertId(1)), 'what was loaded').toBe(bytes);
    expect(stage.drop(layer, expertId(1)), 'dropped twice').toBe(0);
    stage.close();
    expectThrows('ERR_DEVICE', 'load of a closed stage', () => stage.load(layer, expertId(1)));
    expectThrows('ERR_DEVICE', 'drop of a closed stage', () => stage.drop(layer, expertId(1)));
  });
}

interface MovingExperts {
  readonly stage: ExpertStage;
  /**
   * What the stage answers to [tokens, topK] routes on always the same rows: [tokens, topK,
   * hiddenSize], zeros where it writes nothing.
   */
  answers(layer: LayerIndex, routes: Int32Array): Float32Array;
  answerBytes(): Uint8Array;
}

async function openExperts(
  backend: Backend,
  { graph, weights }: TinyModel,
  experts: readonly (readonly ExpertId[])[],
): Promise<MovingExperts> {
  const { hiddenSize, topK, expertCount } = graph.sizes;
  const rowsMax = tokens * topK;
  const program = partition(graph).expert;
  const stage = await backend.createExpertStage({ program, weights, experts, rowsMax });
  const slot = allocateSlot(backend, graph, tokens);
  stage.bindSlots([slot]);
  const dtype: DType = backend.activationDType;
  const random = new SeededRandom(43);
  // Exact in bf16.
  const hidden = Float32Array.from({ length: tokens * hiddenSize }, () => {
    return random.integer(-128, 128) / 64;
  });
  writeActivations(slot.hidden, dtype, hidden);
  const rows = new RowList({ expertCount, topK, rowsMax });
  const residents = new Uint8Array(expertCount).fill(1);
  return {
    stage,
    answers: (layer, routes) => {
      const source = { slotIndex: 0, tokens: Math.ceil(routes.length / topK), residents };
      const expertIds = new Int32Array(source.tokens * topK).fill(-1);
      expertIds.set(routes);
      writeActivations(slot.answers, dtype, new Float32Array(rowsMax * hiddenSize));
      stage.run(layer, rows.merge(layer, [{ ...source, expertIds }], 1));
      return readActivations(slot.answers, dtype).slice();
    },
    answerBytes: () => slot.answers.bytes ?? new Uint8Array(),
  };
}

/** [tokens, topK] of these experts; some go to none. */
function randomRoutes(
  random: SeededRandom,
  experts: readonly ExpertId[],
  topK: number,
): Int32Array {
  const route = (): number => {
    const none = experts.length === 0 || random.fraction() < 0.1;
    return none ? -1 : (experts[random.integer(0, experts.length - 1)] ?? -1);
  };
  return Int32Array.from({ length: tokens * topK }, route);
}
