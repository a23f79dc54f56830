/**
 * Distinct experts that `tokens` tokens choose among `experts`, each with the chance `share`: E (1
 * − (1 − K/E)^B).
 */
export function distinctExperts(experts: number, share: number, tokens: number): number {
  return experts * (1 - (1 - Math.min(1, share)) ** tokens);
}

/**
 * Groups of `groupSize` experts that one token's K distinct experts fall into, on average: to how
 * many expert workers a row is sent.
 */
export function groupsPerToken(expertCount: number, groupSize: number, topK: number): number {
  let missed = 1;
  for (let drawn = 0; drawn < topK; drawn += 1) {
    missed *= Math.max(0, expertCount - groupSize - drawn) / (expertCount - drawn);
  }
  return (expertCount / groupSize) * (1 - missed);
}
