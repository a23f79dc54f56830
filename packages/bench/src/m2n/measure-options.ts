import type { Clock } from '@megascale/core';

export interface MeasureOptions {
  readonly clock: Clock;
  readonly signal?: AbortSignal;
}
