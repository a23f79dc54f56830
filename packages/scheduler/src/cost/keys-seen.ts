/** The keys that `tokens` tokens from position `firstPosition` on see together: Σ (position + 1). */
export function keysSeenBy(firstPosition: number, tokens: number): number {
  return tokens * firstPosition + (tokens * (tokens + 1)) / 2;
}
