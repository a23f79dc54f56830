// A backend of your own, named by its file and loaded by every worker.
// Run: node examples/05-write-a-backend.mjs
import { fileURLToPath } from 'node:url';
import { LLM } from '@megascale/engine';

const model = fileURLToPath(new URL('../models/dictionary', import.meta.url));

const llm = await LLM.load(model, {
  backend: new URL('./timing-backend.mjs', import.meta.url).href,
  colocated: true,
  kvPages: 64,
});
for await (const piece of llm.generate('river (noun):', { maxTokens: 8, temperature: 0 })) {
  process.stdout.write(piece.text);
}
process.stdout.write('\n');
await llm.close();
