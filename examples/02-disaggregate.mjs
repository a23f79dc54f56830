// The same requests on three topologies: the tokens are equal to the bit. Run: node
// examples/02-disaggregate.mjs
import { fileURLToPath } from 'node:url';
import { LLM } from '@megascale/engine';

const model = fileURLToPath(new URL('../models/dictionary', import.meta.url));
const prompts = ['river (noun):', 'to sing (verb):', 'quiet (adjective):', 'music (noun):'];
const topologies = [
  { colocated: true, microBatches: 1 },
  { attentionWorkers: 1, expertWorkers: 1, microBatches: 2 },
  { attentionWorkers: 2, expertWorkers: 4, microBatches: 3 },
];

const answers = [];
for (const topology of topologies) {
  const llm = await LLM.load(model, topology);
  const tokens = await Promise.all(prompts.map((prompt, seed) => tokensOf(llm, prompt, seed)));
  await llm.close();
  answers.push(JSON.stringify(tokens));
  console.log(JSON.stringify(topology), '→', tokens.flat().length, 'tokens');
}
console.log(new Set(answers).size === 1 ? 'equal on all topologies' : 'DIFFERENT');
process.exitCode = new Set(answers).size === 1 ? 0 : 1;

async function tokensOf(llm, prompt, seed) {
  const ids = [];
  const options = { maxTokens: 24, temperature: 0.8, topP: 0.95, seed };
  for await (const piece of llm.generate(prompt, options))
    ids.push(...piece.tokens.map(({ id }) => id));
  return ids;
}
