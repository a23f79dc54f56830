import type { ExpertsMoved } from '../placement/expert-balance.js';

/** What happens while a model is loaded, and later to its workers, experts and policy. */
export type LlmEvent =
  /** The model directory is read and fits; `total` workers start and load the weights. */
  | { readonly type: 'workers-starting'; readonly total: number; readonly weightBytes: number }
  | {
      readonly type: 'worker-ready';
      readonly role: string;
      readonly rank: number;
      /** Workers that are ready so far, of `total`. */
      readonly ready: number;
      readonly total: number;
    }
  | { readonly type: 'worker-lost'; readonly error: Error }
  /** Recent traffic made experts move, or a move failed. */
  | { readonly type: 'experts-moved'; readonly move: ExpertsMoved }
  | { readonly type: 'experts-not-moved'; readonly error: Error }
  /** A scheduler policy failed with an error it has not had before; fcfs planned the step. */
  | { readonly type: 'policy-failed'; readonly error: Error };

/** What a program may pass to `LLM.load` beside the options. */
export interface LoadHooks {
  readonly onEvent?: (event: LlmEvent) => void;
  /** Start file of a worker process. Only tests and bundlers set it. */
  readonly workerFile?: URL;
  /** Time that the module of a custom policy has to load, in milliseconds. Default: 30,000. */
  readonly policyLoadMs?: number;
}
