/** So many prompts of a file are given to the engine at a time; its own queue stays short of its limit. */
const togetherMax = 512;

/** Maps in order of the list, with at most `togetherMax` under way. Rejects with the first failure and starts no more. */
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
