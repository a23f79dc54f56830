import { describe, expect, it } from 'vitest';
import { readEnvironment } from '../../src/environment.js';

describe('readEnvironment', () => {
  it('takes what it knows and nothing else', () => {
    expect(readEnvironment({})).toEqual({});
    const variables = { MEGASCALE_LOG: 'debug', MEGASCALE_API_KEY: 'k', HOME: '/root' };
    expect(readEnvironment(variables)).toEqual({ logLevel: 'debug', apiKey: 'k' });
  });

  it.each([
    ['MEGASCALE_LOG', 'loud', 'one of trace, debug'],
    ['MEGASCALE_API_KEY', '', 'some text'],
  ])('refuses %s=%j by name', (name, value, expected) => {
    expect(() => readEnvironment({ [name]: value })).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG_FIELD',
        message: expect.stringContaining(`${name} must be ${expected}`) as string,
      }) as Error,
    );
  });
});
