import { expect, it } from 'vitest';
import { nativeRecordsHeader } from '../../../src/compile/native-records-header.js';
import { encodeRecords, opFields } from '../../../src/compile/native-records.js';

it('gives C++ the records of TypeScript', async () => {
  await expect(nativeRecordsHeader()).toMatchFileSnapshot('../../../native/program/records.hpp');
});

it('writes the fields of an op in their order, and initial values where there is none', () => {
  const op = { code: 'addTo', x: 4, y: 5, renormalize: true } as const;
  expect(encodeRecords(opFields, [op, op])).toEqual(
    Float64Array.from([1, 2].flatMap(() => [7, 4, 5, -1, -1, -1, -1, 1, 0, 0, 0, 0, 1, 0, 1])),
  );
});
