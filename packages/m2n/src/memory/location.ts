/**
 * A thread's place in the world, enough to reach its memory and to see its end. Plain data, travels
 * as JSON.
 */
export type Location = Readonly<Record<string, unknown>>;
