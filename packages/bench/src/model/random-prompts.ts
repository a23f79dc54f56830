/** [count][tokens] token ids below `vocabSize`, all of them set by the seed. */
export function randomPrompts(sizes: {
  readonly count: number;
  readonly tokens: number;
  readonly vocabSize: number;
  readonly seed: number;
}): number[][] {
  const next = randomWords(sizes.seed);
  return Array.from({ length: sizes.count }, () =>
    Array.from({ length: sizes.tokens }, () => next() % sizes.vocabSize),
  );
}

/** 32-bit words by splitmix32: a Weyl sequence, mixed. */
export function randomWords(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x9e3779b9) | 0;
    let word = Math.imul(state ^ (state >>> 16), 0x21f0aaad);
    word = Math.imul(word ^ (word >>> 15), 0x735a2d97);
    return (word ^ (word >>> 15)) >>> 0;
  };
}
