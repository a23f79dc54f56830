/** What workers do, by the names of the engine's flight recorder. */
export const simulatedKinds = [
  'step',
  'plan',
  'attend',
  'dispatch',
  'wait',
  'combine',
  'logits',
  'experts',
  'reply',
] as const;
export type SimulatedKind = (typeof simulatedKinds)[number];

export interface SimulatedEvent {
  readonly role: 'attention' | 'expert';
  readonly rank: number;
  readonly kind: SimulatedKind;
  readonly startUs: number;
  readonly endUs: number;
  /** −1: of no layer, of no micro-batch. */
  readonly layer: number;
  readonly microBatch: number;
  /** Tokens or rows. */
  readonly size: number;
}

/** Keeps the newest events, so many at most. */
export class Timeline {
  /** Older events that found no room any more. */
  lost = 0;
  readonly #capacity: number;
  readonly #events: SimulatedEvent[] = [];
  #next = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  note(event: SimulatedEvent): void {
    if (this.#capacity === 0) return;
    if (this.#events.length === this.#capacity) this.lost += 1;
    this.#events[this.#next] = event;
    this.#next = (this.#next + 1) % this.#capacity;
  }

  /** Oldest first. */
  read(): SimulatedEvent[] {
    return [...this.#events.slice(this.#next), ...this.#events.slice(0, this.#next)];
  }
}
