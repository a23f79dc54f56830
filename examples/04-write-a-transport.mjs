// A transport of your own, named by its file and loaded by every worker.
// Run: node examples/04-write-a-transport.mjs
import { fileURLToPath } from 'node:url';
import { LLM } from '@megascale/engine';

const model = fileURLToPath(new URL('../models/dictionary', import.meta.url));

const llm = await LLM.load(model, {
  transport: new URL('./counting-transport.mjs', import.meta.url).href,
  expertWorkers: 2,
});
for await (const piece of llm.generate('river (noun):', { maxTokens: 16, temperature: 0 })) {
  process.stdout.write(piece.text);
}
process.stdout.write('\n');
await llm.close();
