import { expect, it } from 'vitest';
import { wireFormatHeader } from './wire-format-header.js';

it('gives C++ the numbers of TypeScript', async () => {
  await expect(wireFormatHeader()).toMatchFileSnapshot('../native/protocol/wire_format.hpp');
});
