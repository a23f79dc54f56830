import { describe, expect, it } from 'vitest';
import { readEnvironment } from '../../src/environment.js';

describe('readEnvironment', () => {
  it('takes what it knows and nothing else', () => {
    expect(readEnvironment({})).toEqual({});
    const variables = { MEGASCALE_LOG_LEVEL: 'debug', MEGASCALE_API_KEY: 'k', HOME: '/root' };
    expect(readEnvironment(variables)).toEqual({ logLevel: 'debug', apiKey: 'k' });
  });

  it('reads every option as its flag would be', () => {
    const variables = {
      MEGASCALE_KV_MEMORY_BYTES: '2GiB',
      MEGASCALE_OVERLAP_STEPS: 'false',
      MEGASCALE_EMULATED_LINK: 'latencyUs=5',
    };
    expect(readEnvironment(variables)).toEqual({
      kvMemoryBytes: 2 ** 31,
      overlapSteps: false,
      emulatedLink: { latencyUs: 5 },
    });
  });

  it('keeps secrets out of its messages', () => {
    const variables = { MEGASCALE_PRE_SHARED_KEY: 'short', MEGASCALE_NETWORK: '' };
    expect(() => readEnvironment(variables)).not.toThrow('short');
  });

  it.each([
    ['MEGASCALE_LOG_LEVEL', 'loud', 'expected one of trace, debug'],
    ['MEGASCALE_MAX_MODEL_LEN', '0', 'expected a whole number of at least 1'],
    ['MEGASCALE_API_KEY', '', 'expected some text'],
    ['MEGASCALE_PRE_SHARED_KEY', 'short', 'must have at least 16 bytes'],
  ])('refuses %s=%j by name', (name, value, expected) => {
    const read = () => readEnvironment({ [name]: value });
    expect(read).toThrow(expect.objectContaining({ code: 'ERR_CONFIG_FIELD' }) as Error);
    expect(read).toThrow(`The environment variable ${name}`);
    expect(read).toThrow(expected);
  });
});
