/**
 * @megascale/kernels-cpu: how, on a CPU. The `cpu` backend; see the README for its layout, kernels
 * and bounds.
 */
import type { Plugin } from '@megascale/core';
import { cpuBackend } from './cpu-backend.js';

export { cpuBackend } from './cpu-backend.js';

/** What a worker imports from this package by name. */
export const plugin: Plugin = { backends: [cpuBackend] };
