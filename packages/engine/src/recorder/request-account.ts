import type { SequenceId } from '@megascale/core';
import type { StepSpan } from './step-clock.js';

/** Where the milliseconds of one request's time on its attention worker went, in microseconds. */
export interface WorkerAccount {
  /** From the submission of the request to its first step. */
  readonly queueUs: number;
  /**
   * The attention stage, embedding and logits of the steps that the request was in. The whole step
   * counts, also where other requests shared it.
   */
  readonly attentionUs: number;
  readonly dispatchUs: number;
  /** Waiting for expert outputs, or computing them where the experts are colocated. */
  readonly expertsUs: number;
  /** Adding up expert outputs. */
  readonly combineUs: number;
  readonly samplingUs: number;
  /** Planning steps, and the loop itself. */
  readonly planningUs: number;
  /**
   * Between the steps that the request was in: after a preemption, or where the policy left it out.
   */
  readonly pausedUs: number;
  readonly steps: number;
  /** [experts] rows of the request in one layer of each step; steps take the layers in turn. */
  readonly expertRows: readonly number[];
}

type Times = { -readonly [Field in keyof Omit<WorkerAccount, 'expertRows'>]: number };

interface OpenAccount extends Times {
  readonly submittedUs: number;
  lastEndUs: number;
  readonly expertRows: number[];
}

/** Keeps the accounts of the sequences on one attention worker. */
export class WorkerAccounts {
  readonly #accounts = new Map<SequenceId, OpenAccount>();
  readonly #expertCount: number;

  constructor(expertCount: number) {
    this.#expertCount = expertCount;
  }

  open(id: SequenceId, submittedUs: number): void {
    this.#accounts.set(id, {
      submittedUs,
      lastEndUs: -1,
      queueUs: 0,
      attentionUs: 0,
      dispatchUs: 0,
      expertsUs: 0,
      combineUs: 0,
      samplingUs: 0,
      planningUs: 0,
      pausedUs: 0,
      steps: 0,
      expertRows: new Array<number>(this.#expertCount).fill(0),
    });
  }

  /** Adds a step to the accounts of the sequences that were in it. */
  addStep(ids: readonly SequenceId[], step: StepSpan): void {
    const { computeUs, combineUs, expertUs, waitUs, dispatchUs, samplingUs } = step.spent;
    const lasted = step.endUs - step.startUs;
    for (const id of ids) {
      const account = this.#accounts.get(id);
      if (account === undefined) continue;
      if (account.steps === 0) {
        account.queueUs = Math.max(0, step.startUs - account.submittedUs);
        // The request came after the end of the step before, when this step was not planned yet:
        // the time of the loop until then was not its own.
        account.planningUs -= Math.max(0, account.submittedUs - step.startUs);
      } else account.pausedUs += Math.max(0, step.startUs - account.lastEndUs);
      account.attentionUs += computeUs - combineUs - expertUs;
      account.combineUs += combineUs;
      account.expertsUs += waitUs + expertUs;
      account.dispatchUs += dispatchUs;
      account.samplingUs += samplingUs;
      account.planningUs += lasted - computeUs - waitUs - dispatchUs - samplingUs;
      account.steps += 1;
      account.lastEndUs = step.endUs;
    }
  }

  /** Counts the entries [from, to) of `expertIds`, [rows × topK] of one layer, for the sequence. */
  addRows(id: SequenceId, expertIds: Int32Array, from: number, to: number): void {
    const rows = this.#accounts.get(id)?.expertRows;
    if (rows === undefined) return;
    for (let at = from; at < to; at += 1) {
      const expert = expertIds[at] ?? -1;
      if (expert >= 0 && expert < rows.length) rows[expert] = (rows[expert] ?? 0) + 1;
    }
  }

  /** Forgets the sequence; undefined where there was none. */
  close(id: SequenceId): WorkerAccount | undefined {
    const account = this.#accounts.get(id);
    if (account === undefined) return undefined;
    this.#accounts.delete(id);
    return {
      queueUs: account.queueUs,
      attentionUs: account.attentionUs,
      dispatchUs: account.dispatchUs,
      expertsUs: account.expertsUs,
      combineUs: account.combineUs,
      samplingUs: account.samplingUs,
      planningUs: account.planningUs,
      pausedUs: account.pausedUs,
      steps: account.steps,
      expertRows: account.expertRows,
    };
  }
}

/**
 * Where the time of one completion went, from the call of the engine, the tokenizing of its prompt
 * included, to its last token. The parts add up to `totalUs`.
 */
export interface RequestAccount extends WorkerAccount {
  readonly totalUs: number;
  readonly tokenizingUs: number;
  readonly detokenizingUs: number;
  /** Messages between processes, and a slow reader. */
  readonly otherUs: number;
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** The accounts of the newest requests, by request id. */
export class RequestAccounts {
  readonly #max: number;
  readonly #byId = new Map<string, RequestAccount[]>();

  constructor(max = 1_000) {
    this.#max = max;
  }

  /** Several completions may share an id. */
  add(id: string, account: RequestAccount): void {
    const known = this.#byId.get(id);
    if (known !== undefined) {
      known.push(account);
      return;
    }
    this.#byId.set(id, [account]);
    if (this.#byId.size <= this.#max) return;
    const [oldest] = this.#byId.keys();
    if (oldest !== undefined) this.#byId.delete(oldest);
  }

  get(id: string): readonly RequestAccount[] {
    return this.#byId.get(id) ?? [];
  }
}

export function requestAccount(
  worker: WorkerAccount,
  outside: Pick<
    RequestAccount,
    'totalUs' | 'tokenizingUs' | 'detokenizingUs' | 'promptTokens' | 'outputTokens'
  >,
): RequestAccount {
  const { queueUs, attentionUs, dispatchUs, expertsUs, combineUs, samplingUs } = worker;
  const inside =
    queueUs + attentionUs + dispatchUs + expertsUs + combineUs + samplingUs + worker.planningUs;
  const known = inside + worker.pausedUs + outside.tokenizingUs + outside.detokenizingUs;
  return { ...worker, ...outside, otherUs: outside.totalUs - known };
}
