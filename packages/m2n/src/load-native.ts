import { createNativeLoader } from '@megascale/core';

/** Loads the native addon of this package on the first call and returns it on every call. */
export const loadNative = createNativeLoader('m2n', import.meta.url);
