/** Drawn from a seed: each expert on 1 to `workers` ranks. */
export function randomPlacement(expertCount: number, seed: number, workers: number): number[][] {
  let state = seed;
  const draw = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  return Array.from({ length: expertCount }, () => {
    const first = draw(workers);
    return Array.from({ length: 1 + draw(workers) }, (_, replica) => (first + replica) % workers);
  });
}
