/** The alpha-beta model: `alpha` per message and `beta` per byte. */
export interface Line {
  readonly alpha: number;
  readonly beta: number;
}

/**
 * The line through samples (x, y > 0) with the least sum of squared relative errors, neither
 * parameter negative: small messages count as much as large ones.
 */
export function fitLine(samples: readonly { readonly x: number; readonly y: number }[]): Line {
  let [w, wx, wxx, wy, wxy] = [0, 0, 0, 0, 0];
  for (const { x, y } of samples) {
    const weight = 1 / (y * y);
    w += weight;
    wx += weight * x;
    wxx += weight * x * x;
    wy += weight * y;
    wxy += weight * x * y;
  }
  if (w === 0) throw new RangeError('A line needs at least one sample.');
  const determinant = w * wxx - wx * wx;
  const beta = determinant > 0 ? (w * wxy - wx * wy) / determinant : 0;
  const alpha = (wy - beta * wx) / w;
  if (beta < 0) return { alpha: wy / w, beta: 0 };
  if (alpha < 0) return { alpha: 0, beta: wxy / wxx };
  return { alpha, beta };
}
