/** 4-bit values in one 32-bit word. */
export const valuesPerWord = 8;

/** 32-bit words of a row of 4-bit values. */
export function wordsPerRow(columns: number): number {
  return Math.ceil(columns / valuesPerWord);
}

/**
 * Packs rows of values in [−8, 7]: value + 8, eight to a word, lowest bits first; what is left of a
 * row's last word is zero.
 */
export function packInt4(values: Int8Array, columns: number): Uint32Array {
  const rowWords = wordsPerRow(columns);
  const rows = values.length / columns;
  const words = new Uint32Array(rows * rowWords);
  for (let row = 0, at = 0; row < rows; row++) {
    const end = (row + 1) * columns;
    for (let start = row * columns; start < end; start += valuesPerWord, at++) {
      const filled = Math.min(valuesPerWord, end - start);
      let word = 0;
      for (let i = 0; i < filled; i++) word |= ((values[start + i] as number) + 8) << (4 * i);
      words[at] = word;
    }
  }
  return words;
}

/** The inverse of `packInt4`. */
export function unpackInt4(words: Uint32Array, columns: number): Int8Array {
  const rowWords = wordsPerRow(columns);
  const rows = words.length / rowWords;
  const values = new Int8Array(rows * columns);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) {
      const word = words[row * rowWords + (column >> 3)] as number;
      values[at] = ((word >>> (4 * (column & 7))) & 15) - 8;
    }
  }
  return values;
}
