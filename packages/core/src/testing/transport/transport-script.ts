import type { SerializedError } from '../../errors.js';
import type { PlacementEpoch, TransportOptions } from '../../spec/transport.js';

/** The options of a port that are plain data. */
export type PlainTransportOptions = Omit<
  TransportOptions,
  'rendezvous' | 'clock' | 'stopReason' | 'allocate'
>;

/** Every action may say which error code it must throw; it then counts as done when it does. */
interface Expecting {
  readonly throws?: string;
}

/**
 * What both sides can do. 'die' ends the process with SIGKILL, or the thread without a word.
 * 'signal' tells all participants of an event; 'await' makes no call of the port until the event
 * has come.
 */
export type CommonAction = Expecting &
  (
    | { readonly type: 'sleep'; readonly ms: number }
    | { readonly type: 'close' | 'die' }
    | { readonly type: 'signal' | 'await'; readonly event: string }
  );

/** The event that the rank's participant has reported, or has died. */
export function endOfRank(role: ParticipantPlan['role'], rank: number): string {
  return `end of ${role} rank ${rank}`;
}

export type AttentionAction =
  | CommonAction
  | (Expecting &
      (
        | { readonly type: 'park' }
        | { readonly type: 'begin-step'; readonly microBatches: readonly number[] }
        | {
            readonly type: 'dispatch';
            readonly layer: number;
            readonly microBatch: number;
            readonly tokens: number;
            /** Routes every token to these experts instead of random ones. */
            readonly experts?: readonly number[];
          }
        | { readonly type: 'combine' | 'release'; readonly microBatch: number }
        | ({ readonly type: 'adopt' } & PlacementEpoch)
        /** A whole step in the order of `pingPong`; every answer is checked. */
        | {
            readonly type: 'step';
            /** [slotCount] tokens of each micro-batch; undefined leaves it out of the step. */
            readonly tokens: readonly (number | undefined)[];
            /** The only experts that get rows. */
            readonly experts?: readonly number[];
          }
        /**
         * Steps of random micro-batches and token counts, with random parks and pauses between
         * them.
         */
        | {
            readonly type: 'random-steps';
            readonly count: number;
            readonly parkChance: number;
            readonly pauseMsMax: number;
            /** Adopted one after the other, each before some step. */
            readonly placements?: readonly PlacementEpoch[];
          }
      ));

export type ExpertAction =
  | CommonAction
  | (Expecting &
      (
        | { readonly type: 'receive' | 'reply' }
        | ({ readonly type: 'learn' } & PlacementEpoch)
        | { readonly type: 'retire'; readonly upTo: number }
        /** Until all attention ranks have closed, or this many inputs were answered. */
        | { readonly type: 'serve'; readonly inputs?: number; readonly delayMs?: number }
      ));

interface PlanOfEach {
  readonly transport: string;
  readonly rank: number;
  readonly seed: number;
  readonly options: PlainTransportOptions;
  /** `TransportOptions.stopReason` answers `stopText` this long after the participant began. */
  readonly stopAfterMs?: number;
  /** The same, this long after all ports have opened. */
  readonly stopOnceOpenMs?: number;
}

export type ParticipantPlan =
  | (PlanOfEach & { readonly role: 'attention'; readonly actions: readonly AttentionAction[] })
  | (PlanOfEach & { readonly role: 'expert'; readonly actions: readonly ExpertAction[] });

export const stopText = 'the test asked to stop';

/** What one participant saw. */
export interface ParticipantReport {
  /** The error that ended it early, of opening or of an action that did not expect it. */
  readonly error?: SerializedError;
  /** Of each action, as far as it came. */
  readonly outcomes: readonly {
    readonly type: string;
    readonly elapsedMs: number;
    readonly error?: SerializedError;
  }[];
  /** Broken promises, in words; the first few. */
  readonly trouble: readonly string[];
  /**
   * [expert ranks] rows an attention rank sent; on an expert rank, its own entry: rows it served.
   */
  readonly rows: readonly number[];
  /** Expert ranks: inputs received, and those that merged more than one attention rank. */
  readonly inputs: number;
  readonly merged: number;
}

export type MessageToParticipant =
  | { readonly type: 'run'; readonly plan: ParticipantPlan }
  | {
      readonly type: 'addresses';
      readonly attention: readonly string[];
      readonly expert: readonly string[];
    }
  /** Each participant has opened, or never will: act. */
  | { readonly type: 'go' }
  /** A participant signalled this event, or the event that it ended has come. */
  | { readonly type: 'event'; readonly event: string }
  | { readonly type: 'end' };

export type MessageFromParticipant =
  | { readonly type: 'address'; readonly address: string }
  /** Its port is open; it acts once it is told to go. */
  | { readonly type: 'opened' }
  | { readonly type: 'signal'; readonly event: string }
  | { readonly type: 'report'; readonly report: ParticipantReport };
