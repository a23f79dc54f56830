import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { MegascaleError } from '../../../src/errors.js';
import { createNativeLoader } from '../../../src/native/create-native-loader.js';

describe('createNativeLoader', () => {
  it('loads nothing before the first call', () => {
    expect(createNativeLoader('no-such-package', import.meta.url)).toBeTypeOf('function');
  });

  it('names every place tried and the remedy when none loads', () => {
    let thrown: unknown;
    try {
      createNativeLoader('no-such-package', import.meta.url)();
    } catch (error) {
      thrown = error;
    }
    if (!MegascaleError.isInstance(thrown)) throw new Error('expected a MegascaleError');
    expect(thrown.code).toBe('ERR_NATIVE_LOAD');
    const core = fileURLToPath(new URL('../../..', import.meta.url));
    for (const place of [
      `@megascale/no-such-package-${process.platform}-${process.arch}: `,
      `${join(core, 'build/Release/no_such_package.node')}: `,
    ]) {
      expect(thrown.message).toContain(place);
    }
    expect(thrown.message).toContain('npm run build:native');
  });
});
