// Loads a model, tells its parent the workers' process ids, and runs until it is killed.
import { LLM } from '../../dist/index.js';

const llm = await LLM.load(process.argv[2], { attentionWorkers: 2, expertWorkers: 2, threads: 1 });
const { workers } = await llm.stats();
process.send(workers.map(({ pid }) => pid));
const request = llm.generate('lighthouse (noun):', { ignoreEos: true, maxTokens: 400 });
for await (const piece of request) void piece;
setInterval(() => undefined, 1000);
