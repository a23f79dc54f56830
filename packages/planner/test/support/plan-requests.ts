import fc from 'fast-check';
import {
  builtInCatalogue,
  findAccelerator,
  namedModelShape,
  type Accelerator,
  type ModelShape,
  type PlanRequest,
} from '../../src/index.js';

const shapes = new Map<string, ModelShape>();

export function kind(name: string): Accelerator {
  return findAccelerator(builtInCatalogue(), name);
}

function shapeOf(name: string): ModelShape {
  const shape = shapes.get(name) ?? namedModelShape(name);
  shapes.set(name, shape);
  return shape;
}

/** With the paper's traffic and SLO. */
export function request(
  model: string,
  kinds: readonly Accelerator[],
  change: Partial<PlanRequest> = {},
): PlanRequest {
  const slo = { tpotMs: 150 };
  const traffic = { inputTokens: 571, outputTokens: 159 };
  return { shape: shapeOf(model), attention: kinds, expert: kinds, traffic, slo, ...change };
}

const kinds = builtInCatalogue().accelerators;
const models = ['mixtral-8x7b', 'qwen3-30b-a3b', 'deepseek-v3'];

export const anyRequest: fc.Arbitrary<PlanRequest> = fc
  .record({
    model: fc.constantFrom(...models),
    attention: fc.constantFrom(...kinds),
    expert: fc.constantFrom(...kinds),
    tpotMs: fc.integer({ min: 10, max: 500 }),
    inputTokens: fc.integer({ min: 1, max: 8000 }),
    outputTokens: fc.integer({ min: 1, max: 2000 }),
  })
  .map(({ model, attention, expert, tpotMs, inputTokens, outputTokens }) => ({
    ...request(model, []),
    attention: [attention],
    expert: [expert],
    slo: { tpotMs },
    traffic: { inputTokens, outputTokens },
  }));
