import { describe, expect, it } from 'vitest';
import { TokenStream } from '../../../src/coordinator/token-stream.js';

describe('TokenStream', () => {
  it('hands over everything that has arrived, in order', async () => {
    const stream = new TokenStream();
    stream.push({ sequence: 1, id: 10 });
    stream.push({ sequence: 1, id: 11 });
    expect((await stream.next()).map(({ id }) => id)).toEqual([10, 11]);
  });

  it('waits for the next token', async () => {
    const stream = new TokenStream();
    const next = stream.next();
    stream.push({ sequence: 1, id: 10 });
    expect((await next).map(({ id }) => id)).toEqual([10]);
  });

  it('gives its tokens before its error, and keeps the first error', async () => {
    const stream = new TokenStream();
    stream.push({ sequence: 1, id: 10 });
    stream.fail(new Error('first'));
    stream.fail(new Error('second'));
    expect(await stream.next()).toHaveLength(1);
    await expect(stream.next()).rejects.toThrow('first');
  });
});
