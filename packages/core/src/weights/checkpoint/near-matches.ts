/**
 * Up to three of `candidates` that look like `name`, best first: the same name under another
 * prefix, or few edits away.
 */
export function nearMatches(name: string, candidates: Iterable<string>): readonly string[] {
  const editsMax = Math.max(2, Math.floor(name.length / 6));
  const scored: { candidate: string; edits: number }[] = [];
  for (const candidate of candidates) {
    if (candidate.endsWith(`.${name}`) || name.endsWith(`.${candidate}`)) {
      scored.push({ candidate, edits: 0 });
      continue;
    }
    if (Math.abs(candidate.length - name.length) > editsMax) continue;
    const edits = editDistance(name, candidate);
    if (edits <= editsMax) scored.push({ candidate, edits });
  }
  scored.sort((a, b) => a.edits - b.edits || (a.candidate < b.candidate ? -1 : 1));
  return scored.slice(0, 3).map(({ candidate }) => candidate);
}

/** Levenshtein distance: insertions, deletions and replacements of one character each. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replaced, (previous[j] ?? 0) + 1, (current[j - 1] ?? 0) + 1));
    }
    previous = current;
  }
  return previous[b.length] ?? 0;
}
