import type { PlainTensorLocation, TensorLocation } from '../../spec/weight-source.js';

/** Elements of a tensor; 1 for a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

/**
 * Narrows a location to one that is not quantized.
 *
 * @throws TypeError for a quantized tensor.
 */
export function plainLocation(location: TensorLocation): PlainTensorLocation {
  const { dtype } = location;
  if (dtype === 'I8' || dtype === 'I4') throw new TypeError(`${location.name} is quantized.`);
  return { ...location, dtype };
}
