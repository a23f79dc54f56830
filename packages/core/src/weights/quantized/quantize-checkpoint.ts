import { copyFile, mkdir, readdir, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { ConfigError } from '../../errors.js';
import { buildModelGraph } from '../../families/registry.js';
import type { PlainTensorLocation, WeightSource } from '../../spec/weight-source.js';
import { checkWeights, requiredWeights } from '../checkpoint/check-weights.js';
import { openCheckpoint } from '../checkpoint/checkpoint.js';
import { requireEmptyDirectory } from '../checkpoint/model-directory.js';
import { plainLocation } from '../checkpoint/tensor-location.js';
import { quantizationConfig, quantizationField } from './quantization-config.js';
import { quantizationPlan, type QuantizationOptions } from './quantization-plan.js';
import type { QuantizationError } from './quantize-groups.js';
import { quantizeMatrix } from './quantize-matrix.js';
import { quantizedModules } from './quantized-modules.js';
import {
  writeCheckpointTensors,
  type CheckpointWriteOptions,
} from '../checkpoint/write-checkpoint-tensors.js';
import { tensorBytes, type TensorToWrite } from '../safetensors/write-safetensors.js';

export interface QuantizeCheckpointOptions
  extends QuantizationOptions, Pick<CheckpointWriteOptions, 'shardBytesMax' | 'onProgress'> {}

/** What became of a checkpoint. */
export interface QuantizationReport {
  readonly family: string;
  readonly quantizedTensors: number;
  /** Copied as they were. */
  readonly keptTensors: number;
  /** Of the tensors that the model uses, before and after. */
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  /** max |weight − stored integer × scale|, and the tensor it is in. */
  readonly largestError: number;
  readonly largestErrorTensor: string;
  /**
   * Root of the mean squared error over that of the mean squared weight, of all quantized tensors.
   */
  readonly relativeError: number;
}

/**
 * What a checkpoint has for its text, and its licence; a model card would speak of other weights.
 */
const copiedName =
  /^(tokenizer|vocab|merges|special_tokens_map|added_tokens|generation_config|chat_template).*\.(json|txt|jinja|jsonl)$|\.(model|tiktoken)$|^(LICEN[CS]E|NOTICE|COPYING)/i;

/**
 * Writes the checkpoint of `inDir` to `outDir` with its matrices quantized as `quantizationPlan`
 * says, tokenizer and other text files alongside. Tensors are read, quantized and written one after
 * the other. config.json comes last: a directory that has one is complete.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' when `inDir` is quantized already, `outDir` is not empty
 * or the group size does not fit; the codes of `openCheckpoint`, `buildModelGraph` and
 * `checkWeights`; 'ERR_CHECKPOINT_CORRUPT' for a weight that is not finite.
 */
export async function quantizeCheckpoint(
  inDir: string,
  outDir: string,
  options: QuantizeCheckpointOptions,
): Promise<QuantizationReport> {
  const { dir, config, weights } = openCheckpoint(inDir);
  requirePlain(dir, config);
  const model = buildModelGraph(config);
  checkWeights(model, weights);
  const plan = quantizationPlan(model, options);
  const out = resolve(outDir);
  await mkdir(out, { recursive: true });
  await requireEmptyDirectory(out);

  const locations = requiredWeights(model).map(({ name, shape }) =>
    plainLocation(weights.locate(name, shape)),
  );
  const errors = new Map<string, QuantizationError>();
  const tensors = locations.flatMap((location) => {
    const form = plan.get(location.name);
    if (form === undefined) return [copied(weights, location)];
    const error = { largest: 0, squares: 0, weightSquares: 0 };
    errors.set(location.name, error);
    return quantizeMatrix({ source: weights, location, form, error });
  });
  await writeCheckpointTensors(out, tensors, options);
  await copyTextFiles(dir, out);
  const quantized = {
    ...(config as object),
    quantization_config: quantizationConfig(quantizedModules(model, plan)),
  };
  await writeFile(join(out, 'config.json'), `${JSON.stringify(quantized, undefined, 2)}\n`);
  return {
    family: model.family,
    quantizedTensors: errors.size,
    keptTensors: locations.length - errors.size,
    bytesBefore: locations.reduce((sum, { byteLength }) => sum + byteLength, 0),
    bytesAfter: tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0),
    ...summed(errors),
  };
}

function requirePlain(dir: string, config: unknown): void {
  if (quantizationField(config) === undefined) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message:
      `${dir} is quantized already: its config.json has a "quantization_config". Quantize the ` +
      'model it was made from.',
    details: { path: 'quantization_config', dir },
  });
}

function copied(source: WeightSource, location: PlainTensorLocation): TensorToWrite {
  const { name, dtype, shape } = location;
  return { name, dtype, shape, chunks: () => [source.read(location)] };
}

async function copyTextFiles(from: string, to: string): Promise<void> {
  for (const name of await readdir(from)) {
    if (!copiedName.test(name)) continue;
    const file = join(from, name);
    if ((await stat(file)).isFile()) await copyFile(file, join(to, name));
  }
}

function summed(
  errors: ReadonlyMap<string, QuantizationError>,
): Pick<QuantizationReport, 'largestError' | 'largestErrorTensor' | 'relativeError'> {
  let [largestError, largestErrorTensor, squares, weightSquares] = [-1, '', 0, 0];
  for (const [name, error] of errors) {
    if (error.largest > largestError) [largestError, largestErrorTensor] = [error.largest, name];
    squares += error.squares;
    weightSquares += error.weightSquares;
  }
  const relativeError = weightSquares === 0 ? 0 : Math.sqrt(squares / weightSquares);
  return { largestError: Math.max(0, largestError), largestErrorTensor, relativeError };
}
