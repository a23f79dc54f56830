import type { MicroBatch } from '../../spec/backend.js';
import type { DType } from '../../spec/region.js';
import type { LayerIndex } from '../../spec/units.js';
import { openTiny, type BackendUnderTest } from './backend-under-test.js';
import type { ContractTest } from '../contract-test.js';
import { expectSameBits } from './expect-numbers.js';
import { microBatch, type BatchedSequence } from './micro-batch.js';
import { i32Elements, writeActivations } from './region-elements.js';
import { promptLogits, type Colocated } from './run-colocated.js';
import { SeededRandom } from '../seeded-random.js';
import { tinyFamilies } from './tiny-models.js';

/** The sequence whose logits must never change, and the pages it usually has. */
const promptTokens = 37;
const ownPages = [0, 1, 2];
const rowCountMax = 40;

/** Law 1, batch invariance: the numbers of a token do not depend on its batch, to the bit. */
export function backendLawOne(test: ContractTest, subject: BackendUnderTest): void {
  for (const { family, make } of tinyFamilies) {
    const model = make();
    const random = new SeededRandom(23);
    const tokenIds = random.tokenIds(promptTokens, model.graph.sizes.vocabSize);
    const open = (expertStageCount = 1): Promise<Colocated> =>
      subject.open(model, { expertStageCount, kvPageCount: 64 });
    const law = (
      title: string,
      body: (colocated: Colocated, alone: Float32Array) => void,
    ): void => {
      test(`${family}: same bits ${title}`, async () => {
        const colocated = await open();
        body(colocated, promptLogits(colocated, tokenIds, { kvPages: ownPages }));
        colocated.close();
      });
    };

    law('as another micro-batch', (colocated, alone) => {
      expectSameBits(promptLogits(colocated, tokenIds, { index: 1 }), alone, 'logits');
    });

    law('in chunks of any size', (colocated, alone) => {
      for (const chunkTokens of [1, 2, 5, 16, 17, 36]) {
        const found = promptLogits(colocated, tokenIds, { chunkTokens });
        expectSameBits(found, alone, `chunks of ${chunkTokens}`);
      }
    });

    law('whatever the order of its pages', (colocated, alone) => {
      for (const kvPages of [
        [2, 1, 0],
        [63, 5, 17],
      ]) {
        expectSameBits(
          promptLogits(colocated, tokenIds, { kvPages }),
          alone,
          `pages ${kvPages.join()}`,
        );
      }
    });

    law('in a batch', (colocated, alone) => {
      expectSameBits(inBatch(colocated, tokenIds), alone, 'logits');
    });

    law('with any number of rows beside it', (colocated, alone) => {
      expectSameForRowCounts(colocated, tokenIds, alone);
    });

    law('when only some logits are wanted', (colocated, alone) => {
      const sequence = { tokenIds, kvPages: ownPages, logits: 'last' } as const;
      const { vocabSize } = colocated.model.sizes;
      const last = alone.subarray((promptTokens - 1) * vocabSize);
      expectSameBits(colocated.run(microBatch({ sequences: [sequence] })), last, 'last row');
    });

    law('in turns with another micro-batch', (colocated, alone) => {
      const other = { tokenIds: tokenIds.slice(9), kvPages: [3, 4] };
      const batches = [{ tokenIds, kvPages: ownPages }, other].map((sequence, index) =>
        microBatch({ index, sequences: [sequence] }),
      );
      expectSameBits(colocated.runAll(batches)[0] ?? new Float32Array(), alone, 'logits');
    });

    law('over pages shared with another sequence', (colocated, alone) => {
      const shared = tokenIds.slice(0, 16);
      const rest = { tokenIds: tokenIds.slice(16), firstPosition: 16, kvPages: [0, 9, 8] };
      const { vocabSize } = colocated.model.sizes;
      const found = colocated.run(microBatch({ sequences: [rest] }));
      expectSameBits(found, alone.subarray(shared.length * vocabSize), 'logits');
    });

    test(`${family}: same bits however the experts are spread`, async () => {
      const expected = promptLogits(await open(), tokenIds);
      for (const expertStageCount of [2, 3]) {
        const found = promptLogits(await open(expertStageCount), tokenIds);
        expectSameBits(found, expected, `${expertStageCount} expert stages`);
      }
    });

    test(`${family}: same bits with another number of threads`, async () => {
      const expected = promptLogits(await open(), tokenIds);
      for (const threads of [1, 3]) {
        const backend = await subject.create({ threads });
        const found = promptLogits(await openTiny(backend, model), tokenIds);
        expectSameBits(found, expected, `${threads} threads`);
        backend.close();
      }
    });

    test(`${family}: combine does not depend on the order of expert outputs`, async () => {
      const colocated = await open(4);
      const batch = microBatch({ sequences: [{ tokenIds, kvPages: ownPages }] });
      const inOrder = colocated.run(batch);
      const backwards = [...colocated.expertStages].reverse();
      const found = runLayers(colocated, batch, (layer) => {
        colocated.runExperts(layer, batch, backwards);
      });
      expectSameBits(found, inOrder, 'logits');
    });

    test(`${family}: combine leaves out outputs of no expert`, async () => {
      const [colocated, dtype] = [await open(), (await subject.shared()).activationDType];
      const batch = microBatch({ sequences: [{ tokenIds, kvPages: ownPages }] });
      const zeros = runWithoutLastExperts(colocated, batch, { filler: 0, dtype });
      const noise = runWithoutLastExperts(colocated, batch, { filler: NaN, dtype });
      expectSameBits(noise, zeros, 'logits');
    });
  }
}

/** The prompt between two others: one from its start, one in the middle of its way. */
function inBatch(colocated: Colocated, tokenIds: readonly number[]): Float32Array {
  const random = new SeededRandom(29);
  const others = [10, 12].map((count, i): BatchedSequence => {
    const ids = random.tokenIds(count, colocated.model.sizes.vocabSize);
    return { tokenIds: ids, firstPosition: 3 * i, kvPages: [10 + i], logits: 'none' };
  });
  const [before, after] = others as [BatchedSequence, BatchedSequence];
  return colocated.run(microBatch({ sequences: [before, { tokenIds, kvPages: ownPages }, after] }));
}

/** The last token alone in its step, then with 1, 2, … other decoding sequences around it. */
function expectSameForRowCounts(
  colocated: Colocated,
  tokenIds: readonly number[],
  alone: Float32Array,
): void {
  const last = promptTokens - 1;
  const expected = alone.subarray(last * colocated.model.sizes.vocabSize);
  const own = { tokenIds: tokenIds.slice(last), firstPosition: last, kvPages: ownPages };
  for (let rowCount = 1; rowCount <= rowCountMax; rowCount += 1) {
    const sequences: BatchedSequence[] = Array.from({ length: rowCount - 1 }, (_, i) => ({
      tokenIds: [(i * 13) % colocated.model.sizes.vocabSize],
      kvPages: [ownPages.length + i],
      logits: 'none',
    }));
    sequences.splice(Math.floor(rowCount / 2), 0, own);
    expectSameBits(colocated.run(microBatch({ sequences })), expected, `${rowCount} rows`);
  }
}

/** One micro-batch through all layers, with `answer` in place of the experts. */
function runLayers(
  colocated: Colocated,
  batch: MicroBatch,
  answer: (layer: LayerIndex) => void,
): Float32Array {
  const { attention, layers } = colocated;
  attention.embed(batch);
  for (const layer of layers) {
    attention.attend(layer, batch.index);
    answer(layer);
    attention.combine(layer, batch.index);
  }
  return attention.logits(batch.index).slice();
}

/** The last of each token's experts is struck out, and its answer is `filler`. */
function runWithoutLastExperts(
  colocated: Colocated,
  batch: MicroBatch,
  options: { filler: number; dtype: DType },
): Float32Array {
  const { topK, hiddenSize } = colocated.model.sizes;
  const slot = colocated.slots[batch.index];
  if (slot === undefined) throw new RangeError('There is no slot.');
  const rows = colocated.tokensPerMicroBatchMax * topK;
  const filled = new Float32Array(rows * hiddenSize).fill(options.filler);
  return runLayers(colocated, batch, (layer) => {
    const ids = i32Elements(slot.expertIds);
    for (let row = topK - 1; row < rows; row += topK) ids[row] = -1;
    writeActivations(slot.answers, options.dtype, filled);
    colocated.runExperts(layer, batch);
  });
}
