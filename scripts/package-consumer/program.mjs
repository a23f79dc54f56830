// What a user's ESM program may rely on: every package imports, importing loads no native code, and
// a model answers, the same colocated and on worker processes.
import assert from 'node:assert/strict';
import * as bench from '@megascale/bench';
import * as core from '@megascale/core';
import * as engine from '@megascale/engine';
import * as kernelsCpu from '@megascale/kernels-cpu';
import * as m2n from '@megascale/m2n';
import * as planner from '@megascale/planner';
import * as scheduler from '@megascale/scheduler';
import * as server from '@megascale/server';

const packages = { bench, core, engine, kernelsCpu, m2n, planner, scheduler, server };
for (const [name, exported] of Object.entries(packages)) {
  assert.ok(Object.keys(exported).length > 0, `${name} exports nothing`);
}
assert.deepEqual(loadedAddons(), [], 'importing loaded a native addon');

await core.makeRandomCheckpoint('model', {
  family: 'mixtral',
  hidden: 64,
  layers: 2,
  experts: 4,
  topK: 2,
  expertWidth: 64,
  heads: 4,
  kvHeads: 2,
  vocab: 512,
  seed: 1,
});
const colocated = await generate({ colocated: true });
assert.equal(colocated.length, 8);
// Transports between processes need Linux.
if (process.platform === 'linux') {
  const pools = { attentionWorkers: 2, expertWorkers: 2, microBatches: 2 };
  assert.deepEqual(await generate(pools), colocated);
}

async function generate(options) {
  const llm = await engine.LLM.load('model', { ...options, maxModelLen: 64, threads: 1 });
  const tokens = [];
  for await (const piece of llm.generate([1, 2, 3], { maxTokens: 8, ignoreEos: true })) {
    tokens.push(...piece.tokens.map(({ id }) => id));
  }
  await llm.close();
  return tokens;
}

function loadedAddons() {
  return process.report.getReport().sharedObjects.filter((path) => path.endsWith('.node'));
}
