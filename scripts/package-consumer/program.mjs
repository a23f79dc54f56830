// What a user's ESM program may rely on: every package imports, and importing loads no native code.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import * as core from '@megascale/core';
import * as engine from '@megascale/engine';
import * as kernelsCpu from '@megascale/kernels-cpu';
import * as m2n from '@megascale/m2n';
import * as scheduler from '@megascale/scheduler';
import * as server from '@megascale/server';

const packages = { core, engine, kernelsCpu, m2n, scheduler, server };
for (const [name, exported] of Object.entries(packages)) {
  assert.ok(Object.keys(exported).length > 0, `${name} exports nothing`);
}
assert.deepEqual(
  process.report.getReport().sharedObjects.filter((path) => path.endsWith('.node')),
  [],
  'importing loaded a native addon',
);

const error = new core.BackendError('ERR_SHAPE', { message: 'too short' });
assert.ok(core.MegascaleError.isInstance(error));

const require = createRequire(import.meta.url);
for (const name of ['kernels-cpu', 'm2n']) {
  assert.equal(
    require(`@megascale/${name}-${process.platform}-${process.arch}`).version(),
    require(`@megascale/${name}/package.json`).version,
  );
}
