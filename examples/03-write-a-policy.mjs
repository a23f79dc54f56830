// A scheduler policy of your own, named by its file and loaded by every attention worker.
// Run: node examples/03-write-a-policy.mjs
import { fileURLToPath } from 'node:url';
import { LLM } from '@megascale/engine';

const model = fileURLToPath(new URL('../models/dictionary', import.meta.url));

const llm = await LLM.load(model, { policy: new URL('./one-at-a-time.mjs', import.meta.url).href });
const started = [];
const finished = [];
await Promise.all(
  ['river (noun):', 'music (noun):', 'stone (noun):'].map(async (prompt) => {
    for await (const piece of llm.generate(prompt, {
      maxTokens: 12,
      temperature: 0,
      ignoreEos: true,
    })) {
      if (!started.includes(prompt)) started.push(prompt);
      if (piece.finishReason !== undefined) finished.push(prompt);
    }
  }),
);
await llm.close();
console.log('started ', started.join('  '));
console.log('finished', finished.join('  '));
