import type { AttentionProgram, WeightRef } from '@megascale/core';
import type { NativeAttentionCode } from '../binding/binding.js';
import { refuse } from '../binding/native-error.js';
import { groupLinears } from './group-linears.js';
import {
  encodeRecords,
  kvCacheFields,
  opFields,
  rotaryTableFields,
  valueFields,
} from './native-records.js';
import { OpCompiler, requireActivation } from './op-compiler.js';
import { planValues, widthOf } from './plan-values.js';

/** A program that native code can run, and the weights it wants by number. */
export interface CompiledAttention {
  readonly code: NativeAttentionCode;
  readonly matrices: readonly WeightRef[];
  readonly vectors: readonly WeightRef[];
  readonly tables: readonly WeightRef[];
}

/**
 * Turns the graph of an attention stage into flat op lists. Reads no weights.
 *
 * @throws BackendError 'ERR_SHAPE' for a graph that this backend cannot run, naming the op.
 */
export function compileAttention(program: AttentionProgram): CompiledAttention {
  const lists = [
    program.prologue,
    ...program.stages.map((stage) => stage.attend),
    program.epilogue,
  ].map(groupLinears);
  checkEnds(program);
  const values = planValues(program, lists);
  const compiler = new OpCompiler(values);
  const encoded = lists.map((nodes) =>
    encodeRecords(
      opFields,
      nodes.map((node, i) => compiler.op(node, nodes.slice(i + 1))),
    ),
  );
  const { sizes, stages } = program;
  return {
    code: {
      values: encodeRecords(valueFields, values.values),
      scratchRowBytes: values.scratchRowBytes,
      stateRowBytes: values.stateRowBytes,
      rotaryTables: encodeRecords(rotaryTableFields, compiler.rotaryTables),
      kvCaches: encodeRecords(kvCacheFields, compiler.kvCaches),
      lists: encoded,
      residuals: Float64Array.from(stages, (stage) => values.numberOf(stage.residual)),
      topKs: Float64Array.from(stages, (stage) => stage.router.topK),
      hiddenSize: sizes.hiddenSize,
      vocabSize: sizes.vocabSize,
      topKMax: Math.max(sizes.topK, ...stages.map((stage) => stage.router.topK)),
    },
    matrices: compiler.matrices.refs,
    vectors: compiler.vectors.refs,
    tables: compiler.tables.refs,
  };
}

/** What the slots, the token ids and the logits buffer are sized by must be what the graph says. */
function checkEnds({ sizes, prologue, stages, epilogue }: AttentionProgram): void {
  for (const node of [...prologue, ...epilogue]) {
    const rows =
      node.op === 'embed'
        ? node.table.shape[0]
        : node.op === 'lmHead'
          ? node.weight.shape[0]
          : undefined;
    if (rows !== undefined && rows !== sizes.vocabSize) {
      refuse(`Op ${node.op} has ${rows} tokens, the model's vocabulary has ${sizes.vocabSize}.`);
    }
  }
  for (const { message, residual } of stages) {
    if (widthOf(message) !== sizes.hiddenSize || widthOf(residual) !== sizes.hiddenSize) {
      refuse(
        `The cut is ${widthOf(message)} wide, the model's hidden size is ${sizes.hiddenSize}.`,
      );
    }
    requireActivation('router', message);
  }
}
