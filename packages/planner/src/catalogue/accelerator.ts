import { z } from 'zod';

const name = z
  .string()
  .regex(/^[\w.+-]{1,64}$/, 'expected letters, digits, ".", "_", "+" or "-", at most 64');
const positive = z.number().positive().max(1e9);
const network = z.strictObject({
  name: z.string().min(1).max(100),
  gigabytesPerSecond: positive,
  latencyUs: z.number().nonnegative().max(60_000_000),
});

/** One kind of accelerator in its usual machine. Sizes are decimal, as vendors state them. */
export const acceleratorSchema = z.strictObject({
  name,
  kind: z.enum(['gpu', 'cpu']).default('gpu'),
  /**
   * Of one accelerator, in a unit that all entries share; the built-in catalogue uses the price of
   * an L20.
   */
  price: positive,
  priceIsAssumed: z.boolean().default(false),
  memoryGigabytes: positive,
  memoryGigabytesPerSecond: positive,
  /** Dense bf16 peak. */
  bf16Teraflops: positive,
  /** Dense fp8 peak; absent where fp8 runs at the bf16 rate. */
  fp8Teraflops: positive.optional(),
  /** What the largest matrix products reach of the peak. */
  computeShare: z.number().gt(0).max(1).default(0.8),
  /** Power limit of one accelerator. */
  watts: positive,
  /** Accelerators of one machine; tensor parallelism stays inside. */
  perNode: z.int().min(1).max(1024),
  /** Between accelerators of one scale-up domain, each direction. */
  scaleUp: network.extend({
    /** Accelerators that reach each other this way: those of a machine, or of a rack. */
    domain: z.int().min(1).max(65_536),
  }),
  /** Between machines, each direction, one accelerator's share of its machine's cards. */
  network,
  /** Where each figure comes from, and which are assumptions. */
  sources: z.array(z.string().max(500)).max(32).default([]),
});

export type Accelerator = Readonly<z.output<typeof acceleratorSchema>>;

/** A network between machines; takes the place of every accelerator's own where one is named. */
export const networkSchema = network.extend({ name });
export type Network = Readonly<z.output<typeof networkSchema>>;

export const catalogueSchema = z.strictObject({
  version: z.literal(1),
  priceUnit: z.string().max(100).optional(),
  accelerators: z.array(acceleratorSchema).max(1024).default([]),
  networks: z.array(networkSchema).max(1024).default([]),
});
