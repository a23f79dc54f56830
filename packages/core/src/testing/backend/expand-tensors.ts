/**
 * The tensors of a checkpoint from patterns: `{layer}` and `{expert}` in a name stand for every
 * number below the given count, or in the given list.
 */
export function expandTensors(
  patterns: Readonly<Record<string, readonly number[]>>,
  numbers: Readonly<Record<string, number | readonly number[]>>,
): Record<string, readonly number[]> {
  let tensors = patterns;
  for (const [placeholder, range] of Object.entries(numbers)) {
    const each = typeof range === 'number' ? [...new Array(range).keys()] : range;
    tensors = Object.fromEntries(
      Object.entries(tensors).flatMap(([name, shape]) =>
        name.includes(`{${placeholder}}`)
          ? each.map((n) => [name.replace(`{${placeholder}}`, String(n)), shape] as const)
          : [[name, shape] as const],
      ),
    );
  }
  return tensors;
}
