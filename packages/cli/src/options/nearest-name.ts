/** The known name that a mistyped one most probably means; undefined where none is near. */
export function nearestName(wrong: string, names: readonly string[]): string | undefined {
  const plain = (name: string): string => name.replace(/[-_]/g, '').toLowerCase();
  const ranked = names
    .map((name) => ({ name, distance: editDistance(plain(wrong), plain(name)) }))
    .sort((one, other) => one.distance - other.distance);
  const [best] = ranked;
  const limit = Math.max(2, Math.floor(wrong.length / 3));
  return best !== undefined && best.distance <= limit ? best.name : undefined;
}

/** Letters to insert, remove or replace (Levenshtein). */
function editDistance(from: string, to: string): number {
  let row = Array.from({ length: to.length + 1 }, (_, column) => column);
  for (const [index, letter] of Array.from(from).entries()) {
    const next = [index + 1];
    for (const [column, other] of Array.from(to).entries()) {
      const replaced = (row[column] ?? 0) + (letter === other ? 0 : 1);
      next.push(Math.min(replaced, (row[column + 1] ?? 0) + 1, (next[column] ?? 0) + 1));
    }
    row = next;
  }
  return row[to.length] ?? 0;
}
