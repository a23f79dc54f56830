import type { PlainTensorLocation, TensorLocation } from '../../spec/weight-source.js';

/** The same location, known not to be quantized. */
export function plainLocation(location: TensorLocation): PlainTensorLocation {
  const { dtype } = location;
  if (dtype === 'I8' || dtype === 'I4') throw new TypeError(`${location.name} is quantized.`);
  return { ...location, dtype };
}
