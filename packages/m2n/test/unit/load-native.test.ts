import { expect, it } from 'vitest';
import { loadNative } from '../../src/load-native.js';

it('loadNative returns the addon, the same on every call', () => {
  expect(loadNative()).toHaveProperty('version');
  expect(loadNative()).toBe(loadNative());
});
