import { comparePositions, type WorkPosition } from '@megascale/core';
import { expertGroups, expertLoad, type ExpertGroup } from '../simulated-instance.js';
import { GatherFrames, type HeldFrame } from './gather-frames.js';
import { eventKinds, type PipelineParts } from './pipeline-parts.js';
import type { SimulatedKind } from './timeline.js';

interface Expert {
  readonly group: ExpertGroup;
  readonly index: number;
  readonly gather: GatherFrames;
  /** What it computes; empty where it is idle. */
  serving: HeldFrame[];
  /** When it began to compute, or to wait. */
  sinceUs: number;
  /** Runs that were begun: the end of one that was begun again is not looked at. */
  runs: number;
  /** It is lost until then. */
  backUs: number;
  factor: number;
}

/** What an attention worker has under way, one for each micro-batch. */
interface Frame {
  position: WorkPosition;
  next: WorkPosition;
  tokens: number;
  life: number;
}

/** Who is told of answers. */
export interface AnswerDesk {
  answerArgument(rank: number, microBatch: number): number;
}

/**
 * The expert workers: they take frames as they come, and compute what their gather policy puts
 * together.
 */
export class ExpertSide {
  readonly #parts: PipelineParts;
  readonly #experts: readonly Expert[];
  /** [attention workers × micro-batches] */
  readonly #frames: readonly Frame[];
  readonly #lives: Int32Array;

  constructor(parts: PipelineParts, apart: boolean) {
    const { instance } = parts;
    const { attentionWorkers, microBatches, gather = { type: 'lockstep' } } = instance;
    this.#parts = parts;
    this.#experts = expertGroups(instance, apart).map((group, index) => ({
      group,
      index,
      serving: [],
      sinceUs: 0,
      runs: 0,
      backUs: 0,
      factor: 1,
      gather: new GatherFrames(gather, attentionWorkers),
    }));
    const start: WorkPosition = { step: 0, layer: 0, microBatch: 0 };
    this.#frames = Array.from({ length: attentionWorkers * microBatches }, () => ({
      position: start,
      next: start,
      tokens: 0,
      life: 0,
    }));
    this.#lives = new Int32Array(attentionWorkers);
  }

  /** Expert workers that are simulated apart: as many answers come for each frame. */
  get groupCount(): number {
    return this.#experts.length;
  }

  /** Sends a micro-batch's rows to all experts. */
  send(
    from: { readonly rank: number; readonly microBatch: number; readonly tokens: number },
    frame: Pick<Frame, 'position' | 'next' | 'life'>,
    nowUs: number,
  ): void {
    const { instance, links, heap } = this.#parts;
    const slot = from.rank * instance.microBatches + from.microBatch;
    const kept = this.#frames[slot];
    if (kept === undefined) throw new RangeError(`There is no micro-batch ${from.microBatch}.`);
    Object.assign(kept, frame, { tokens: from.tokens });
    const bytes = from.tokens * instance.topK * instance.dispatchRowBytes;
    const leftUs = links.send(from.rank, nowUs, bytes);
    for (const { group, index } of this.#experts) {
      const arrivesUs = links.receive(
        instance.attentionWorkers + group.rank,
        leftUs,
        bytes * group.share,
      );
      const address = (frame.life * this.#frames.length + slot) * this.#experts.length + index;
      heap.push(arrivesUs, eventKinds.frameArrives, address);
    }
  }

  frameArrives(address: number, nowUs: number): void {
    const expert = this.#expert(address % this.#experts.length);
    const lifeAndSlot = Math.floor(address / this.#experts.length);
    const slot = lifeAndSlot % this.#frames.length;
    const frame = this.#frames[slot];
    const life = Math.floor(lifeAndSlot / this.#frames.length);
    const rank = Math.floor(slot / this.#parts.instance.microBatches);
    if (frame === undefined || life !== this.#lives[rank]) return;
    expert.gather.arrive({ ...frame.position, rank, arrivedUs: nowUs }, frame.next);
    this.#serve(expert, nowUs);
  }

  look(index: number, nowUs: number): void {
    this.#serve(this.#expert(index), nowUs);
  }

  begin(rank: number, position: WorkPosition): void {
    for (const { gather } of this.#experts) gather.begin(rank, position);
  }

  park(rank: number, nowUs: number): void {
    for (const expert of this.#experts) {
      expert.gather.park(rank);
      this.#serve(expert, nowUs);
    }
  }

  /** The attention worker is lost: nothing of it is served any more. */
  drop(rank: number, nowUs: number): void {
    this.#lives[rank] = (this.#lives[rank] ?? 0) + 1;
    for (const expert of this.#experts) {
      expert.gather.drop(rank);
      this.#serve(expert, nowUs);
    }
  }

  slowDown(rank: number, factor: number): void {
    this.#ofRank(rank).factor = factor;
  }

  lose(rank: number, untilUs: number): void {
    const expert = this.#ofRank(rank);
    expert.backUs = Math.max(expert.backUs, untilUs);
    if (expert.serving.length > 0) this.#begin(expert, untilUs);
    this.#parts.heap.push(untilUs, eventKinds.look, expert.index);
  }

  /** argument: run × groups + group. */
  done(argument: number, nowUs: number, desk: AnswerDesk): void {
    const expert = this.#expert(argument % this.#experts.length);
    if (Math.floor(argument / this.#experts.length) !== expert.runs) return;
    const { serving, group } = expert;
    this.#note(expert, 'experts', nowUs);
    expert.serving = [];
    this.#answer(group, serving, nowUs, desk);
    this.#note(expert, 'reply', nowUs);
    this.#serve(expert, nowUs);
  }

  #answer(group: ExpertGroup, served: readonly HeldFrame[], nowUs: number, desk: AnswerDesk): void {
    const { instance, links, heap } = this.#parts;
    const { topK, answerRowBytes, attentionWorkers, microBatches } = instance;
    const rowBytes = topK * group.share * answerRowBytes;
    // Answers that are ready together leave micro-batch by micro-batch, those of one side by side.
    for (let from = 0; from < served.length;) {
      const first = served[from];
      let to = from;
      let tokens = 0;
      for (; to < served.length; to += 1) {
        const frame = served[to];
        if (first === undefined || frame === undefined) break;
        if (comparePositions(frame, first) !== 0) break;
        tokens += this.#tokens(frame);
      }
      const leftUs = links.send(attentionWorkers + group.rank, nowUs, tokens * rowBytes);
      for (const frame of served.slice(from, to)) {
        const bytes = this.#tokens(frame) * rowBytes * group.workers;
        const arrivesUs = links.receive(frame.rank, leftUs, bytes);
        const life = this.#frames[frame.rank * microBatches + frame.microBatch]?.life;
        // Its worker may have been lost since.
        if (life !== this.#lives[frame.rank]) continue;
        const argument = desk.answerArgument(frame.rank, frame.microBatch);
        heap.push(arrivesUs, eventKinds.answerArrives, argument);
      }
      from = to;
    }
  }

  #serve(expert: Expert, nowUs: number): void {
    if (expert.serving.length > 0 || nowUs < expert.backUs) return;
    const frames = expert.gather.decide(nowUs);
    const { waitsUntilUs } = expert.gather;
    if (waitsUntilUs !== Infinity) {
      this.#parts.heap.push(waitsUntilUs, eventKinds.look, expert.index);
    }
    if (frames.length === 0) return;
    if (frames.length > 1) frames.sort((a, b) => comparePositions(a, b) || a.rank - b.rank);
    expert.serving = frames;
    this.#note(expert, 'wait', nowUs);
    this.#begin(expert, nowUs);
  }

  #begin(expert: Expert, startUs: number): void {
    const { instance, heap } = this.#parts;
    const us = instance.costs.expertTimeUs(this.#load(expert)) * expert.factor;
    expert.runs += 1;
    expert.sinceUs = startUs;
    const argument = expert.runs * this.#experts.length + expert.index;
    heap.push(startUs + us, eventKinds.expertDone, argument);
  }

  #load({ serving, group }: Expert): { rows: number; distinctExperts: number } {
    let tokens = 0;
    for (const frame of serving) tokens += this.#tokens(frame);
    return expertLoad(this.#parts.instance, group.share, tokens);
  }

  #tokens(frame: HeldFrame): number {
    const slot = frame.rank * this.#parts.instance.microBatches + frame.microBatch;
    return this.#frames[slot]?.tokens ?? 0;
  }

  #note(expert: Expert, kind: SimulatedKind, nowUs: number): void {
    const { timeline } = this.#parts;
    const [first] = expert.serving;
    const startUs = expert.sinceUs;
    expert.sinceUs = nowUs;
    if (timeline === undefined) return;
    const layer = first?.layer ?? -1;
    const size = Math.round(this.#load(expert).rows);
    const rank = expert.group.rank;
    const microBatch = first?.microBatch ?? -1;
    timeline.note({ role: 'expert', rank, kind, startUs, endUs: nowUs, layer, microBatch, size });
  }

  #ofRank(rank: number): Expert {
    const expert = this.#experts.findLast(({ group }) => group.rank <= rank);
    if (expert === undefined || rank >= expert.group.rank + expert.group.workers) {
      throw new RangeError(`There is no expert worker ${rank}.`);
    }
    return expert;
  }

  #expert(index: number): Expert {
    const expert = this.#experts[index];
    if (expert === undefined) throw new RangeError(`There is no expert group ${index}.`);
    return expert;
  }
}
