// The same for CommonJS, and that both forms recognise each other's errors.
const assert = require('node:assert/strict');

for (const name of ['core', 'engine', 'kernels-cpu', 'm2n', 'scheduler', 'server']) {
  assert.ok(Object.keys(require(`@megascale/${name}`)).length > 0, `${name} exports nothing`);
}

const { BackendError } = require('@megascale/core');
const error = new BackendError('ERR_SHAPE', { message: 'too short' });
import('@megascale/core').then(({ MegascaleError }) => {
  assert.ok(MegascaleError.isInstance(error));
});
