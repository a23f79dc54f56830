import type {
  AttentionPort,
  AttentionStage,
  DispatchTicket,
  LayerIndex,
  MicroBatch,
  MicroBatchIndex,
} from '@megascale/core';
import type { PipelineAction, Step } from '@megascale/scheduler';
import { eventKind } from '../recorder/flight-recorder.js';
import type { StepClock } from '../recorder/step-clock.js';
import type { RoutedRows } from './routed-rows.js';
import type { TokenChooser } from './token-chooser.js';

/** What a step is performed on. */
export interface StepDriverParts {
  readonly stage: AttentionStage;
  readonly port: AttentionPort;
  readonly clock: StepClock;
  readonly chooser: Pick<TokenChooser, 'choose'>;
  readonly routes: Pick<RoutedRows, 'note'>;
}

/**
 * Performs the actions of steps: calls the stage, the port and the chooser of tokens, and notes
 * each call at the step clock. The caller states the order. All calls are synchronous, and only
 * `combine` waits: while this worker attends to one micro-batch, the others are at the experts.
 */
export class StepDriver {
  readonly #parts: StepDriverParts;
  /** By micro-batch: what was dispatched and is not combined yet. */
  readonly #away: (DispatchTicket | undefined)[] = [];

  constructor(parts: StepDriverParts) {
    this.#parts = parts;
  }

  beginStep(step: Step): void {
    this.#parts.port.beginStep(step.microBatchIndices);
  }

  embed(batch: MicroBatch): void {
    const { stage, clock } = this.#parts;
    const startUs = clock.nowUs();
    stage.embed(batch);
    clock.note(eventKind.embed, startUs, -1, batch.index, batch.tokenIds.length);
  }

  perform(step: Step, action: PipelineAction): void {
    const { microBatch } = action;
    const tokens = step.microBatches[microBatch]?.tokenIds.length ?? 0;
    switch (action.type) {
      case 'attend':
        this.#attend(action.layer, microBatch, tokens);
        this.#parts.routes.note(step, action.layer, microBatch);
        return;
      case 'dispatch':
        this.#dispatch(action.layer, microBatch, tokens);
        return;
      case 'combine':
        this.#combine(action.layer, microBatch, tokens);
        return;
      case 'sample':
        this.#sample(step, microBatch);
    }
  }

  #attend(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): void {
    const { stage, clock } = this.#parts;
    const startUs = clock.nowUs();
    stage.attend(layer, microBatch);
    clock.note(eventKind.attend, startUs, layer, microBatch, tokens);
  }

  #dispatch(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): void {
    const { port, clock } = this.#parts;
    const startUs = clock.nowUs();
    this.#away[microBatch] = port.dispatch(layer, microBatch, tokens);
    clock.note(eventKind.dispatch, startUs, layer, microBatch, tokens);
  }

  #combine(layer: LayerIndex, microBatch: MicroBatchIndex, tokens: number): void {
    const { stage, port, clock } = this.#parts;
    const ticket = this.#away[microBatch];
    if (ticket === undefined) throw new Error('The plan combines what was not dispatched.');
    const waitStartUs = clock.nowUs();
    port.combine(ticket);
    clock.note(eventKind.wait, waitStartUs, layer, microBatch, tokens);
    const startUs = clock.nowUs();
    stage.combine(layer, microBatch);
    clock.note(eventKind.combine, startUs, layer, microBatch, tokens);
    port.release(ticket);
  }

  /** Chooses a token for each row of logits of the micro-batch; does nothing where it has none. */
  #sample(step: Step, microBatch: MicroBatchIndex): void {
    const { stage, clock, chooser } = this.#parts;
    const batch = step.microBatches[microBatch];
    const rows = step.logits[microBatch];
    if (batch === undefined || rows === undefined || rows.length === 0) return;
    const logitsStartUs = clock.nowUs();
    const logits = stage.logits(microBatch);
    clock.note(eventKind.logits, logitsStartUs, -1, microBatch, rows.length);
    const startUs = clock.nowUs();
    chooser.choose(batch, rows, logits);
    clock.note(eventKind.sample, startUs, -1, microBatch, rows.length);
  }
}
