// What quantizing costs: perplexity of held-out text, and how far the next-token distributions move.
//
//     npm run build && node tools/quantization-accuracy/measure.mjs [--backend reference] [--entries 100] [--json]
//
// Quantizes models/dictionary into a temporary folder by the code of `megascale quantize`, then runs every entry of held-out.txt,
// alone, through each checkpoint. See README.md beside this file.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import {
  buildModelGraph,
  openCheckpoint,
  openTokenizer,
  quantizeCheckpoint,
  referenceBackend,
} from '@megascale/core';
import { microBatch, openColocated } from '@megascale/core/testing';
import { cpuBackend } from '@megascale/kernels-cpu';

const modelDir = new URL('../../models/dictionary', import.meta.url).pathname;
const heldOut = new URL('held-out.txt', import.meta.url);
const endOfEntry = '<|endoftext|>';
const kvPageSize = 16;
const tokensMax = 512;

const { values: flags } = parseArgs({
  options: {
    backend: { type: 'string', default: 'cpu' },
    isa: { type: 'string' },
    entries: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

const variants = [
  { name: 'bf16' },
  { name: 'bf16, int8 keys and values', kvCacheDtype: 'int8' },
  { name: 'int8', options: { format: 'int8' } },
  { name: 'int8, groups of 64', options: { format: 'int8', groupSize: 64 } },
  { name: 'int4, groups of 32', options: { format: 'int4' } },
  { name: 'int4, groups of 128', options: { format: 'int4', groupSize: 128 } },
];

await main();

async function main() {
  const factory = { cpu: cpuBackend, reference: referenceBackend }[flags.backend];
  if (factory === undefined) throw new Error('--backend is cpu or reference.');
  const documents = readDocuments();
  const scratch = mkdtempSync(join(tmpdir(), 'megascale-accuracy-'));
  try {
    const backend = await factory.create(flags.isa === undefined ? {} : { isa: flags.isa });
    const models = [];
    for (const [index, variant] of variants.entries()) {
      models.push(await openVariant(backend, variant, join(scratch, String(index))));
    }
    const report = { backend: `${backend.name} (${backend.isa})`, ...measure(models, documents) };
    backend.close();
    process.stdout.write(flags.json ? `${JSON.stringify(report)}\n` : table(report));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Token ids of each entry, with the token that ends it. */
function readDocuments() {
  const tokenizer = openTokenizer(modelDir);
  const lines = readFileSync(heldOut, 'utf8').trimEnd().split('\n');
  const count = flags.entries === undefined ? lines.length : Number(flags.entries);
  return lines.slice(0, count).map((line) => tokenizer.encode(`${line}${endOfEntry}`));
}

async function openVariant(backend, { name, options, kvCacheDtype = 'bf16' }, dir) {
  const size = options === undefined ? {} : await quantizeCheckpoint(modelDir, dir, options);
  const { config, weights } = openCheckpoint(options === undefined ? modelDir : dir);
  const model = buildModelGraph(config);
  const kvPageCount = tokensMax / kvPageSize;
  const sizes = { kvPageCount, kvPageSize, microBatchCount: 1, tokensPerMicroBatchMax: tokensMax };
  const colocated = await openColocated({ backend, model, weights, kvCacheDtype, ...sizes });
  const { bytesAfter, relativeError = 0 } = size;
  return { name, colocated, bytes: bytesAfter ?? bytesOf(weights), relativeError };
}

function bytesOf({ tensors }) {
  return [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** Every entry on its own; the first token of an entry, before which nothing stands, is not predicted. */
function measure(models, documents) {
  const sums = models.map(() => ({ loss: 0, divergence: 0, sameBest: 0 }));
  let tokens = 0;
  for (const document of documents) {
    const pageCount = Math.ceil(document.length / kvPageSize);
    const kvPages = Array.from({ length: pageCount }, (_, page) => page);
    const batch = microBatch({ sequences: [{ tokenIds: document, kvPages }] });
    const logits = models.map(({ colocated }) => colocated.run(batch));
    for (let row = 0; row + 1 < document.length; row++) {
      addRow(sums, models, logits, row, document[row + 1]);
      tokens++;
    }
  }
  const results = models.map(({ name, bytes, relativeError }, i) => ({
    name,
    bytes,
    relativeError,
    perplexity: Math.exp(sums[i].loss / tokens),
    meanDivergence: sums[i].divergence / tokens,
    sameBest: sums[i].sameBest / tokens,
  }));
  return { entries: documents.length, tokens, results };
}

/** The first model is what the others are compared with. */
function addRow(sums, models, logits, row, target) {
  const { vocabSize } = models[0].colocated.model.sizes;
  const rows = logits.map((all) =>
    logProbabilities(all.subarray(row * vocabSize, (row + 1) * vocabSize)),
  );
  const [exact] = rows;
  const exactBest = indexOfMax(exact);
  rows.forEach((found, i) => {
    sums[i].loss -= found[target];
    sums[i].sameBest += indexOfMax(found) === exactBest ? 1 : 0;
    sums[i].divergence += divergence(exact, found);
  });
}

/** log softmax, in double. */
function logProbabilities(logits) {
  let max = -Infinity;
  for (const logit of logits) max = Math.max(max, logit);
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - max);
  const offset = max + Math.log(sum);
  return Float64Array.from(logits, (logit) => logit - offset);
}

/** Kullback-Leibler divergence of `found` from `exact`, nats. */
function divergence(exact, found) {
  let sum = 0;
  for (let i = 0; i < exact.length; i++) sum += Math.exp(exact[i]) * (exact[i] - found[i]);
  return sum;
}

function indexOfMax(numbers) {
  let best = 0;
  for (let i = 1; i < numbers.length; i++) if (numbers[i] > numbers[best]) best = i;
  return best;
}

function table({ backend, entries, tokens, results }) {
  const lines = results.map(
    ({ name, bytes, relativeError, perplexity, meanDivergence, sameBest }) =>
      `| ${name} | ${(bytes / 1e6).toFixed(2)} | ${(100 * relativeError).toFixed(2)} % | ${perplexity.toFixed(3)} | ${meanDivergence.toFixed(5)} | ${(100 * sameBest).toFixed(2)} % |\n`,
  );
  return `Backend ${backend}; ${entries} entries, ${tokens} predicted tokens.

| weights | MB | relative error | perplexity | mean KL, nats | same best token |
|---|---|---|---|---|---|
${lines.join('')}`;
}
