/** Drawn from a seed, layer by layer: each expert on 1 to `workers` ranks. */
export function randomPlacement(
  sizes: { readonly expertCount: number; readonly layerCount: number },
  seed: number,
  workers: number,
): number[][][] {
  let state = seed;
  const draw = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  const holders = (): number[] => {
    const first = draw(workers);
    return Array.from({ length: 1 + draw(workers) }, (_, replica) => (first + replica) % workers);
  };
  return Array.from({ length: sizes.layerCount }, () =>
    Array.from({ length: sizes.expertCount }, holders),
  );
}
