// The same for CommonJS, on the model that the ESM program made; and both forms recognize each other's errors.
const assert = require('node:assert/strict');

for (const name of [
  'bench',
  'core',
  'engine',
  'kernels-cpu',
  'm2n',
  'planner',
  'scheduler',
  'server',
]) {
  assert.ok(Object.keys(require(`@megascale/${name}`)).length > 0, `${name} exports nothing`);
}

const { BackendError } = require('@megascale/core');
const { LLM } = require('@megascale/engine');

void (async () => {
  const { MegascaleError } = await import('@megascale/core');
  assert.ok(MegascaleError.isInstance(new BackendError('ERR_SHAPE', { message: 'too short' })));

  const llm = await LLM.load('model', { maxModelLen: 64, threads: 1 });
  let text = '';
  for await (const piece of llm.generate('hello', { maxTokens: 4, ignoreEos: true }))
    text += piece.text;
  assert.equal(typeof text, 'string');
  assert.ok(text.length > 0);
  await llm.close();
})();
