import { MegascaleError } from '@megascale/core';

/**
 * A benchmark that cannot give the figure it was asked for. The message says what to ask for
 * instead.
 */
export class BenchError extends MegascaleError<'ERR_BENCH'> {
  constructor(message: string, details: Readonly<Record<string, unknown>> = {}) {
    super('ERR_BENCH', { message, details });
  }
}
