// One answer, streamed. Run: node examples/01-generate.mjs [PROMPT]   (after `npm start` or `npm
// test` has built the packages once)
import { fileURLToPath } from 'node:url';
import { LLM } from '@megascale/engine';

const model = fileURLToPath(new URL('../models/dictionary', import.meta.url));
const prompt = process.argv[2] ?? 'lighthouse (noun):';

const llm = await LLM.load(model, { colocated: true });
process.stdout.write(prompt);
for await (const piece of llm.generate(prompt, { maxTokens: 40, temperature: 0 })) {
  process.stdout.write(piece.text);
}
process.stdout.write('\n');
await llm.close();
