import { expect, it } from 'vitest';
import { wireFormatHeader } from '../../../src/protocol/wire-format-header.js';

it('gives C++ the numbers of TypeScript', async () => {
  await expect(wireFormatHeader()).toMatchFileSnapshot('../../../native/protocol/wire_format.hpp');
});
