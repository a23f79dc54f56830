import { describe, expect, it } from 'vitest';
import {
  nativeAddon,
  type NativeAttentionProgram,
  type NativeBackend,
} from '../../src/binding/binding.js';

/** What a wrong caller of the addon itself gets: an error, never a crash. */
describe('the addon', () => {
  const addon = nativeAddon();
  const none = {} as NativeAttentionProgram;

  it('is the same on every call', () => {
    expect(addon).toHaveProperty('version');
    expect(nativeAddon()).toBe(addon);
  });

  it.each([[{}], [null], [7], [new Uint8Array(8)]])('refuses %o as a backend', (value) => {
    const wrong = value as unknown as NativeBackend;
    expect(() => new addon.AttentionStage(wrong, none)).toThrow(/not a Backend/);
  });

  it('refuses a method on another object', () => {
    const backend = new addon.Backend(1, 'scalar');
    const allocate = Reflect.get<NativeBackend, 'allocate'>(backend, 'allocate');
    expect(() => allocate.call({}, 8)).toThrow();
    backend.close();
  });

  it('refuses a closed backend', () => {
    const backend = new addon.Backend(1, 'scalar');
    backend.close();
    expect(() => new addon.AttentionStage(backend, none)).toThrow(/closed/);
  });
});
