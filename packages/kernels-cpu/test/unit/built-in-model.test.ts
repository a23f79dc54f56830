import { describe, expect, it } from 'vitest';
import { dictionaryRows } from '../../../../tools/goldens/dictionary-rows.js';
import { divergencesOf, meanOf } from '../../../../tools/goldens/numbers.js';
import { cpuBackend } from '../../src/index.js';
import { emulatedTiles, testedIsas } from '../support/isas.js';

/** Nats; nothing is forced here, routers choose for themselves. */
const meanDivergenceBound = 1e-3;
/** A greedy token must be the same where the best logit leads by more than this. */
const tokenMargin = 0.2;

const isas = (await testedIsas()).filter((isa) => isa !== emulatedTiles);

describe.each(isas)('the built-in model on cpu (%s)', (isa) => {
  it('says what Transformers says', async () => {
    const backend = await cpuBackend.create({ isa, threads: 2 });
    const rows = await dictionaryRows(backend);
    backend.close();
    const divergences = rows.flatMap(({ expected, found }) =>
      divergencesOf(expected, found, expected.length),
    );
    expect(divergences).toHaveLength(50);
    expect(meanOf(divergences)).toBeLessThanOrEqual(meanDivergenceBound);
    const beyondDoubt = rows.flatMap(({ prompt, differing }) =>
      differing
        .filter(({ margin }) => margin > tokenMargin)
        .map(({ step, margin }) => ({ text: prompt.text, step, margin })),
    );
    expect(beyondDoubt).toEqual([]);
  }, 120_000);
});
