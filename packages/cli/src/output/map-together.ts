/** Prompts of a file that the engine has at a time: fewer than its queue takes. */
const togetherMax = 512;

/**
 * Maps a list, in its order, with at most `togetherMax` calls under way. Rejects with the first
 * failure and starts no more calls.
 */
export async function mapTogether<Item, Result>(
  items: readonly Item[],
  map: (item: Item) => Promise<Result>,
): Promise<Result[]> {
  const results: Result[] = [];
  const queue = items.entries();
  const work = async (): Promise<void> => {
    // All workers take from the same iterator.
    for (const [index, item] of queue) results[index] = await map(item);
  };
  const workers = Math.min(togetherMax, items.length);
  await Promise.all(Array.from({ length: workers }, work));
  return results;
}
