import { BackendError } from '../errors.js';
import type { ExpertInput } from '../spec/backend.js';
import { expertId, type ExpertId, type LayerIndex } from '../spec/units.js';

export interface ExpertInputLimits {
  readonly layerCount: number;
  /** Of the model. */
  readonly expertCount: number;
  /** Whether this stage holds the expert's weights of that layer. */
  readonly isResident: (layer: LayerIndex, expert: ExpertId) => boolean;
  readonly rowsMax: number;
  /** Of each bound slot: rows its `hidden` and its `answers` hold. */
  readonly slots: readonly { readonly hiddenRows: number; readonly answerRows: number }[];
}

/**
 * Validates a call of `ExpertStage.run`: every list long enough, every row inside its slot and for
 * an expert that is here, before any work.
 *
 * @throws BackendError 'ERR_SHAPE' naming the field, the value found and what was expected.
 */
export function checkExpertInput(
  layer: LayerIndex,
  input: ExpertInput,
  limits: ExpertInputLimits,
): void {
  requireIndex('layer', layer, limits.layerCount);
  if (input.layer !== layer) throw wrong('layer', input.layer, `the layer of the call, ${layer}`);
  requireIndex('rowCount', input.rowCount, limits.rowsMax + 1);
  if (input.rowsPerExpert.length !== limits.expertCount) {
    const expected = `one per expert, ${limits.expertCount}`;
    throw wrong('rowsPerExpert', `${input.rowsPerExpert.length} entries`, expected);
  }
  input.rowsPerExpert.forEach((rows, i) => {
    requireIndex(`rowsPerExpert[${i}]`, rows, input.rowCount + 1);
    if (rows > 0 && !limits.isResident(layer, expertId(i))) {
      throw wrong(`rowsPerExpert[${i}]`, `${rows} rows`, `none: expert ${i} is not here`);
    }
  });
  const sum = input.rowsPerExpert.reduce((total, rows) => total + rows, 0);
  if (sum !== input.rowCount) throw wrong('rowsPerExpert', `sum ${sum}`, input.rowCount);
  for (const field of ['slotIndex', 'hiddenRow', 'answerRow'] as const) {
    const { length } = input[field];
    if (length < input.rowCount) throw wrong(field, `${length} entries`, `≥ ${input.rowCount}`);
  }
  for (let row = 0; row < input.rowCount; row += 1) {
    const slotIndex = input.slotIndex[row] as number;
    const slot = limits.slots[slotIndex];
    if (slot === undefined) throw wrong(`slotIndex[${row}]`, slotIndex, below(limits.slots.length));
    requireIndex(`hiddenRow[${row}]`, input.hiddenRow[row] as number, slot.hiddenRows);
    requireIndex(`answerRow[${row}]`, input.answerRow[row] as number, slot.answerRows);
  }
}

function requireIndex(field: string, value: number, count: number): void {
  if (!Number.isInteger(value) || value < 0 || value >= count) {
    throw wrong(field, value, below(count));
  }
}

function below(count: number): string {
  return `0 … ${count - 1}`;
}

function wrong(field: string, found: string | number, expected: string | number): BackendError {
  return new BackendError('ERR_SHAPE', {
    message: `Expert input field ${field}: found ${found}, expected ${expected}.`,
    details: { field, found, expected },
  });
}
