// Checked, not run: the published types are complete and strict without skipLibCheck.
import { MegascaleError, type SchedulerPolicy } from '@megascale/core';
import * as engine from '@megascale/engine';
import * as kernelsCpu from '@megascale/kernels-cpu';
import * as m2n from '@megascale/m2n';
import * as scheduler from '@megascale/scheduler';
import * as server from '@megascale/server';

export const idle: SchedulerPolicy = {
  specVersion: 1,
  name: 'idle',
  plan: () => ({ run: [], preempt: [] }),
};
export const packages = [engine, kernelsCpu, m2n, scheduler, server];
export const codeOf = (error: unknown) =>
  MegascaleError.isInstance(error) ? error.code : undefined;
