import { describe, expect, it } from 'vitest';
import { backendContract } from '../../../src/testing/backend/backend-contract.js';
import { referenceBackend } from '../../../src/reference/reference-backend.js';

backendContract({
  name: 'reference',
  factory: referenceBackend,
  bound: { logits: 0, expertOutputs: 0 },
});

describe('reference backend', () => {
  it('refuses a variant it does not have', async () => {
    await expect(referenceBackend.create({ isa: 'avx512' })).rejects.toMatchObject({
      code: 'ERR_BACKEND_UNAVAILABLE',
    });
  });
});
