/**
 * The `count`-th largest of `values`, equal ones counted each, 1 ≤ count ≤ values.length. One pass
 * with a heap of the `count` largest so far, its smallest at the root: most values of a long list
 * lose against the root at once.
 *
 * @param heap Scratch of at least `count` elements, overwritten.
 */
export function kthLargest(values: Float32Array, count: number, heap: Float32Array): number {
  heap.set(values.subarray(0, count));
  for (let parent = (count >> 1) - 1; parent >= 0; parent--) sink(heap, count, parent);
  for (let index = count; index < values.length; index++) {
    const value = values[index] ?? 0;
    if (value <= (heap[0] ?? 0)) continue;
    heap[0] = value;
    sink(heap, count, 0);
  }
  return heap[0] ?? 0;
}

function sink(heap: Float32Array, count: number, start: number): void {
  const value = heap[start] ?? 0;
  let parent = start;
  for (;;) {
    let child = 2 * parent + 1;
    if (child >= count) break;
    if (child + 1 < count && (heap[child + 1] ?? 0) < (heap[child] ?? 0)) child++;
    if ((heap[child] ?? 0) >= value) break;
    heap[parent] = heap[child] ?? 0;
    parent = child;
  }
  heap[parent] = value;
}
