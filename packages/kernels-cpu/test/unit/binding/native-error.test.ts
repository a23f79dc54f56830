import { BackendError, ConfigError } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { fromNative } from '../../../src/binding/native-error.js';

describe('fromNative', () => {
  it('types what native code throws on purpose', () => {
    const shape = fromNative(Object.assign(new Error('too long'), { code: 'ERR_SHAPE' }));
    expect(shape).toBeInstanceOf(BackendError);
    expect(shape).toMatchObject({ code: 'ERR_SHAPE', message: 'too long' });
    const file = fromNative(Object.assign(new Error('cut'), { code: 'ERR_CHECKPOINT_CORRUPT' }));
    expect(file).toBeInstanceOf(ConfigError);
  });

  it('leaves other errors as they are', () => {
    const bug = new TypeError('a bug');
    expect(fromNative(bug)).toBe(bug);
    expect(fromNative('text')).toBe('text');
    const system = Object.assign(new Error('no file'), { code: 'ENOENT' });
    expect(fromNative(system)).toBe(system);
  });
});
