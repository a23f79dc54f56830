import type { ExpertInput, MicroBatch } from '../../spec/backend.js';
import { layerIndex, microBatchIndex } from '../../spec/units.js';
import { microBatch } from './micro-batch.js';

/** A prompt for `tinyMixtral` that fills one page and a part of the next. */
export const validTokenIds = Array.from({ length: 20 }, (_, i) => (i * 31) % 160);
export const validBatch = microBatch({ sequences: [{ tokenIds: validTokenIds, kvPages: [0, 1] }] });

/** Changes of a valid micro-batch, each of which `embed` must refuse. */
export const wrongBatches: Readonly<Record<string, Partial<MicroBatch>>> = {
  'a micro-batch index past the last': { index: microBatchIndex(2) },
  'a token id outside the vocabulary': { tokenIds: validBatch.tokenIds.map((id) => id + 150) },
  'a negative token id': { tokenIds: validBatch.tokenIds.map(() => -1) },
  'fewer positions than tokens': { positions: validBatch.positions.slice(1) },
  'positions with a hole': { positions: validBatch.positions.map((p) => (p > 9 ? p + 1 : p)) },
  'a position past the last page': { positions: validBatch.positions.map((p) => p + 16) },
  'a position past the rotary table': {
    positions: validBatch.positions.map((p) => p + 500),
    kvPages: new Int32Array(33),
    kvPageOffsets: Int32Array.of(0, 33),
  },
  'offsets that do not end at the tokens': { offsets: Int32Array.of(0, 19) },
  'offsets that do not start at 0': { offsets: Int32Array.of(1, 20) },
  'offsets that fall': {
    offsets: Int32Array.of(0, 30, 20),
    kvPageOffsets: Int32Array.of(0, 2, 2),
  },
  'no offsets': { offsets: new Int32Array(0) },
  'page offsets of another length': { kvPageOffsets: Int32Array.of(0, 1, 2) },
  'page offsets that do not end at the pages': { kvPageOffsets: Int32Array.of(0, 1) },
  'a page that does not exist': { kvPages: Int32Array.of(0, 32) },
  'a negative page': { kvPages: Int32Array.of(-1, 0) },
  'a logits row past the tokens': { logitsRows: Int32Array.of(20) },
  'logits rows that do not ascend': { logitsRows: Int32Array.of(3, 3) },
  'more tokens than the stage was made for': microBatch({
    sequences: [0, 1, 2, 3].map((i) => ({ tokenIds: validTokenIds, kvPages: [2 * i, 2 * i + 1] })),
  }),
};

/** One row of the first expert and one of the last, over two slots of 64 tokens and top-2. */
export const validInput: ExpertInput = {
  layer: layerIndex(0),
  rowCount: 2,
  rowsPerExpert: Int32Array.of(1, 0, 0, 0, 0, 0, 0, 1),
  slotIndex: Int32Array.of(0, 1),
  hiddenRow: Int32Array.of(0, 63),
  answerRow: Int32Array.of(0, 127),
};

/** Changes of a valid expert input, each of which `run` must refuse. */
export const wrongInputs: Readonly<Record<string, Partial<ExpertInput>>> = {
  'another layer than the call says': { layer: layerIndex(1) },
  'a negative row count': { rowCount: -1 },
  'a sum of rows that is not the row count': {
    rowsPerExpert: Int32Array.of(1, 0, 0, 0, 0, 0, 0, 0),
  },
  'a negative number of rows': { rowsPerExpert: Int32Array.of(3, 0, 0, 0, 0, 0, 0, -1) },
  'rows for fewer experts than are here': { rowsPerExpert: Int32Array.of(1, 1) },
  'fewer slot indices than rows': { slotIndex: Int32Array.of(0) },
  'fewer hidden rows than rows': { hiddenRow: Int32Array.of(0) },
  'fewer answer rows than rows': { answerRow: Int32Array.of(0) },
  'a slot that is not bound': { slotIndex: Int32Array.of(0, 2) },
  'a hidden row past its slot': { hiddenRow: Int32Array.of(0, 64) },
  'an answer row past its slot': { answerRow: Int32Array.of(0, 128) },
  'a negative answer row': { answerRow: Int32Array.of(-1, 0) },
};
