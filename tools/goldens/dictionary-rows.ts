import {
  buildModelGraph,
  openCheckpoint,
  type Backend,
  type WeightSource,
  type ModelGraph,
} from '@megascale/core';
import { microBatch, openColocated } from '@megascale/core/testing';
import { indexOfMax } from './numbers.js';
import { readDictionaryGolden, readLogits, type DictionaryPrompt } from './read-goldens.js';

/** models/dictionary, and what Transformers says about it. */
export const dictionaryFolder = new URL('../../models/dictionary/', import.meta.url);

const kvPageSize = 16;

export interface DictionaryRow {
  readonly prompt: DictionaryPrompt;
  /** [vocabSize] at the prompt's last position, of Transformers and of the backend. */
  readonly expected: Float32Array;
  readonly found: Float32Array;
  /** Greedy tokens that differ from Transformers', which always go on from Transformers' own. */
  readonly differing: readonly { readonly step: number; readonly margin: number }[];
}

/** Runs the built-in model's 50 prompts and 16 greedy tokens each on a backend. */
export async function dictionaryRows(backend: Backend): Promise<DictionaryRow[]> {
  const golden = readDictionaryGolden();
  const rows = readLogits(golden);
  const { model, weights } = openDictionary();
  const colocated = await openColocated({ backend, model, weights, tokensPerMicroBatchMax: 128 });
  const logitsAt = (tokenIds: readonly number[], position: number): Float32Array => {
    const pages = Math.ceil((position + tokenIds.length) / kvPageSize);
    const kvPages = Array.from({ length: pages }, (_, page) => page);
    const sequence = { tokenIds, firstPosition: position, kvPages, logits: 'last' as const };
    return colocated.run(microBatch({ sequences: [sequence] }));
  };
  return golden.prompts.map((prompt, index) => {
    const found = logitsAt(prompt.promptTokens, 0);
    const differing: { step: number; margin: number }[] = [];
    let last = found;
    for (const [step, token] of prompt.greedyTokens.entries()) {
      const margin = prompt.tokenMargins[step] ?? 0;
      if (indexOfMax(last) !== token) differing.push({ step, margin });
      last = logitsAt([token], prompt.promptTokens.length + step);
    }
    return { prompt, expected: rows(index, 1), found, differing };
  });
}

function openDictionary(): { model: ModelGraph; weights: WeightSource } {
  const { config, weights } = openCheckpoint(dictionaryFolder.pathname);
  return { model: buildModelGraph(config), weights };
}
