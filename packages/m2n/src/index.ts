/** @megascale/m2n: where. Transports that carry rows between attention and expert workers. */
import type { Plugin } from '@megascale/core';
import { fabric } from './transports/fabric.js';
import { loopback } from './transports/loopback.js';
import { shm } from './transports/shm.js';
import { tcp } from './transports/tcp.js';

export { loadNative } from './load-native.js';
export { fabric, loopback, shm, tcp };

export const plugin: Plugin = { transports: [loopback, shm, tcp, fabric] };
