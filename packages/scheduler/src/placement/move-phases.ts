/**
 * How a placement follows another while steps run:
 *
 *     loading    every expert rank loads what it gains; no attention rank uses it yet
 *     learning   every expert rank serves frames of the new epoch too
 *     adopting   every attention rank changes over at its next step, and has left the old epoch when its last step in it is done
 *     dropping   every expert rank retires the old epoch and drops what it lost
 *
 * A rank that cannot load sends the move back: `undoing`, every expert rank drops what it gained.
 */
export type MovePhase =
  'loading' | 'learning' | 'adopting' | 'dropping' | 'undoing' | 'done' | 'undone';

/** Who has a part in a phase: one answer of each rank of this pool ends it. */
export const poolOfPhase = {
  loading: 'expert',
  learning: 'expert',
  adopting: 'attention',
  dropping: 'expert',
  undoing: 'expert',
} as const satisfies Partial<Record<MovePhase, 'attention' | 'expert'>>;

export type OpenPhase = keyof typeof poolOfPhase;

export interface MoveState {
  readonly phase: MovePhase;
  /** Ranks whose answer is missing, ascending. Empty at the end. */
  readonly waitsFor: readonly number[];
  /** A rank could not load. */
  readonly failed: boolean;
}

export interface MoveWorkers {
  readonly attention: number;
  readonly expert: number;
}

export interface MoveAnswer {
  readonly phase: OpenPhase;
  readonly rank: number;
  /** It could not do its part; only loading may fail. */
  readonly failed?: boolean;
}

export function beginMove(workers: MoveWorkers): MoveState {
  return enter('loading', workers, false);
}

/**
 * The state after an answer. Answers of another phase or of a rank that has answered change
 * nothing.
 */
export function advanceMove(state: MoveState, answer: MoveAnswer, workers: MoveWorkers): MoveState {
  if (answer.phase !== state.phase || !state.waitsFor.includes(answer.rank)) return state;
  const waitsFor = state.waitsFor.filter((rank) => rank !== answer.rank);
  const failed = state.failed || (answer.failed === true && state.phase === 'loading');
  if (waitsFor.length > 0) return { ...state, waitsFor, failed };
  return enter(after(answer.phase, failed), workers, failed);
}

/**
 * Which placement workers that start anew must have. From learning to adopting the new one takes
 * over: every expert is loaded then, and attention ranks may use it.
 */
export function placementInForce({ phase }: MoveState): 'old' | 'new' {
  return phase === 'adopting' || phase === 'dropping' || phase === 'done' ? 'new' : 'old';
}

function after(phase: OpenPhase, failed: boolean): MovePhase {
  switch (phase) {
    case 'loading':
      return failed ? 'undoing' : 'learning';
    case 'learning':
      return 'adopting';
    case 'adopting':
      return 'dropping';
    case 'dropping':
      return 'done';
    case 'undoing':
      return 'undone';
  }
}

function enter(phase: MovePhase, workers: MoveWorkers, failed: boolean): MoveState {
  const isOpen = phase !== 'done' && phase !== 'undone';
  const count = isOpen ? workers[poolOfPhase[phase]] : 0;
  return { phase, waitsFor: Array.from({ length: count }, (_, rank) => rank), failed };
}
