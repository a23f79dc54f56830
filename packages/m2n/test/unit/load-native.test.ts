import { MegascaleError } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { loadFirst, loadNative } from '../../src/load-native.js';

describe('loadNative', () => {
  it('returns the addon, the same on every call', () => {
    const addon = loadNative();
    expect(addon).toHaveProperty('version');
    expect(loadNative()).toBe(addon);
  });

  it('names every place tried and the remedy when none loads', () => {
    const places = ['@megascale/m2n-no-such-platform', '/no/such/m2n.node'];
    let thrown: unknown;
    try {
      loadFirst(places);
    } catch (error) {
      thrown = error;
    }
    if (!MegascaleError.isInstance(thrown)) throw new Error('expected a MegascaleError');
    expect(thrown.code).toBe('ERR_NATIVE_LOAD');
    for (const place of places) expect(thrown.message).toContain(place);
    expect(thrown.message).toContain('npm run build:native');
  });
});
