import { expect } from 'vitest';
import { layerIndex, microBatchIndex } from '../../spec/units.js';
import type { BackendUnderTest } from './backend-under-test.js';
import type { ContractTest } from '../contract-test.js';
import { expectSameBits, expectThrows } from './expect-numbers.js';
import { microBatch } from './micro-batch.js';
import { onlyExpertStage } from './backend-lifecycle.js';
import { promptLogits, type Colocated } from './run-colocated.js';
import { tinyMixtral } from './tiny-models.js';
import { validBatch, validInput, validTokenIds, wrongBatches, wrongInputs } from './wrong-calls.js';

/** Wrong calls throw before any work. */
export function backendValidation(test: ContractTest, subject: BackendUnderTest): void {
  const model = tinyMixtral();
  const layer = layerIndex(0);
  const first = microBatchIndex(0);
  const open = (): Promise<Colocated> => subject.open(model);

  for (const [what, change] of Object.entries(wrongBatches)) {
    test(`embed refuses ${what}, and nothing changes`, async () => {
      const colocated = await open();
      const alone = promptLogits(colocated, validTokenIds);
      expectThrows('ERR_SHAPE', what, () => {
        colocated.attention.embed({ ...validBatch, ...change });
      });
      const { vocabSize } = model.graph.sizes;
      const last = { tokenIds: validTokenIds.slice(19), firstPosition: 19, kvPages: [0, 1] };
      const found = colocated.run(microBatch({ sequences: [last] }));
      expectSameBits(found, alone.subarray(19 * vocabSize), 'the last token, over the same pages');
      colocated.close();
    });
  }

  test('a refused embed leaves the micro-batch in force', async () => {
    const colocated = await open();
    const expected = colocated.run(validBatch);
    colocated.attention.embed(validBatch);
    expectThrows('ERR_SHAPE', 'embed', () => {
      colocated.attention.embed({ ...validBatch, logitsRows: Int32Array.of(99) });
    });
    for (const routed of colocated.layers) {
      colocated.attention.attend(routed, first);
      colocated.runExperts(routed, validBatch);
      colocated.attention.combine(routed, first);
    }
    expectSameBits(colocated.attention.logits(first).slice(), expected, 'logits');
  });

  test('attend, combine and logits refuse what is not there', async () => {
    const { attention } = await open();
    expectThrows('ERR_SHAPE', 'before embed', () => {
      attention.attend(layer, first);
    });
    attention.embed(validBatch);
    const calls: Readonly<Record<string, () => void>> = {
      'attend of a layer past the last': () => {
        attention.attend(layerIndex(2), first);
      },
      'attend of a negative layer': () => {
        attention.attend(layerIndex(-1), first);
      },
      'combine of a layer past the last': () => {
        attention.combine(layerIndex(2), first);
      },
      'attend of a micro-batch that was not embedded': () => {
        attention.attend(layer, microBatchIndex(1));
      },
      'logits of a micro-batch that does not exist': () => {
        attention.logits(microBatchIndex(2));
      },
    };
    for (const [what, call] of Object.entries(calls)) expectThrows('ERR_SHAPE', what, call);
  });

  test('an empty micro-batch passes through', async () => {
    const colocated = await open();
    expect(colocated.run(microBatch({ sequences: [] })).length).toBe(0);
  });

  for (const [what, change] of Object.entries(wrongInputs)) {
    test(`run refuses ${what}, and writes nothing`, async () => {
      const colocated = await open();
      const stage = onlyExpertStage(colocated);
      stage.run(layer, validInput);
      const before = outputBytes(colocated);
      // 0.75 in f32, bf16 and nearly so in f16: other rows than before.
      colocated.slots[0]?.hidden.bytes?.fill(0x3f);
      expectThrows('ERR_SHAPE', what, () => {
        stage.run(layer, { ...validInput, ...change });
      });
      expect(outputBytes(colocated).equals(before), 'answers are untouched').toBe(true);
    });
  }

  test('run refuses a layer past the last and more rows than the stage was made for', async () => {
    const stage = onlyExpertStage(await open());
    const zeros = new Int32Array(129);
    const tooMany = { slotIndex: zeros, hiddenRow: zeros, answerRow: zeros, rowCount: 129 };
    const rowsPerExpert = Int32Array.of(129, 0, 0, 0, 0, 0, 0, 0);
    expectThrows('ERR_SHAPE', 'rows', () => {
      stage.run(layer, { ...validInput, ...tooMany, rowsPerExpert });
    });
    expectThrows('ERR_SHAPE', 'layer', () => {
      stage.run(layerIndex(2), { ...validInput, layer: layerIndex(2) });
    });
  });
}

/** The answers of the first slot, byte by byte. */
function outputBytes(colocated: Colocated): Buffer {
  return Buffer.from(colocated.slots[0]?.answers.bytes ?? []);
}
