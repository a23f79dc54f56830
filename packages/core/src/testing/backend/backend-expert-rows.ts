import type { DType } from '../../spec/region.js';
import { layerIndex } from '../../spec/units.js';
import type { BackendUnderTest } from './backend-under-test.js';
import type { ContractTest } from '../contract-test.js';
import { expectSameBits } from './expect-numbers.js';
import { microBatch } from './micro-batch.js';
import { i32Elements, readActivations, writeActivations } from './region-elements.js';
import type { Colocated } from './run-colocated.js';
import { SeededRandom } from '../seeded-random.js';
import { tinyFamilies } from './tiny-models.js';

const rowCountMax = 40;

/** Law 1 for one expert: what it answers to a row does not depend on how many rows it has. */
export function backendExpertRows(test: ContractTest, subject: BackendUnderTest): void {
  for (const { family, make } of tinyFamilies) {
    test(`${family}: same answers of an expert with any number of rows`, async () => {
      const { activationDType } = await subject.shared();
      const colocated = await subject.open(make());
      const { hiddenSize } = colocated.model.sizes;
      const hidden = randomRows(rowCountMax * hiddenSize);
      const alone = Array.from({ length: rowCountMax }, (_, row) => {
        const only = hidden.subarray(row * hiddenSize, (row + 1) * hiddenSize);
        return [...answersOfOneExpert(colocated, only, activationDType)];
      });
      const expected = Float32Array.from(alone.flat());
      for (let rowCount = 1; rowCount <= rowCountMax; rowCount += 1) {
        const rows = hidden.subarray(0, rowCount * hiddenSize);
        const found = answersOfOneExpert(colocated, rows, activationDType);
        expectSameBits(found, expected.subarray(0, rows.length), `${rowCount} rows`);
      }
    });
  }
}

/** Numbers that are exact in bf16. */
function randomRows(length: number): Float32Array {
  const random = new SeededRandom(31);
  return Float32Array.from({ length }, () => random.integer(-128, 128) / 64);
}

/**
 * Rows [rows, hiddenSize], all of them for expert 3 of the first layer → its answers, same shape.
 */
function answersOfOneExpert(colocated: Colocated, rows: Float32Array, dtype: DType): Float32Array {
  const { hiddenSize, topK } = colocated.model.sizes;
  const [slot] = colocated.slots;
  if (slot === undefined) throw new RangeError('There is no slot.');
  const tokenIds = Array.from({ length: rows.length / hiddenSize }, () => 0);
  writeActivations(slot.hidden, dtype, rows);
  const ids = i32Elements(slot.expertIds).fill(-1);
  tokenIds.forEach((_, token) => (ids[token * topK] = 3));
  const sequence = { tokenIds, kvPages: [0, 1, 2] };
  colocated.runExperts(layerIndex(0), microBatch({ sequences: [sequence] }));
  const answers = readActivations(slot.answers, dtype);
  const width = topK * hiddenSize;
  return Float32Array.from(
    tokenIds.flatMap((_, token) => [
      ...answers.subarray(token * width, token * width + hiddenSize),
    ]),
  );
}
