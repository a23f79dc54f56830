import type { AttentionPort, AttentionStage, DispatchTicket } from '@megascale/core';
import {
  Batcher,
  createStepOrders,
  fcfs,
  pingPong,
  walkSteps,
  type Step,
} from '@megascale/scheduler';
import { microBatchIndex, sequenceId } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { eventKinds, FlightRecorder } from '../../../src/recorder/flight-recorder.js';
import { StepClock } from '../../../src/recorder/step-clock.js';
import { StepDriver } from '../../../src/attention/step-driver.js';

const layerCount = 3;
const microBatchCount = 2;

/**
 * A stage and a port that only write down what they are asked, on a clock that advances 1 µs a
 * reading.
 */
function noted(following: Step[] = [], overlap = false) {
  const calls: string[] = [];
  const ticket = (layer: number, microBatch: number, tokens: number): DispatchTicket =>
    ({ layer, microBatch, tokens }) as DispatchTicket;
  const stage: AttentionStage = {
    bindSlots: () => undefined,
    embed: (batch) => calls.push(`embed ${String(batch.index)}`),
    attend: (layer, microBatch) => calls.push(`attend ${String(layer)} ${String(microBatch)}`),
    combine: (layer, microBatch) => calls.push(`sum ${String(layer)} ${String(microBatch)}`),
    logits: (microBatch) => {
      calls.push(`logits ${String(microBatch)}`);
      return new Float32Array(4);
    },
    close: () => undefined,
  };
  const port: AttentionPort = {
    slots: [],
    beginStep: (indices) => calls.push(`begin ${indices.join()}`),
    dispatch: (layer, microBatch, tokens) => {
      calls.push(`dispatch ${String(layer)} ${String(microBatch)}`);
      return ticket(layer, microBatch, tokens);
    },
    combine: ({ layer, microBatch }) =>
      calls.push(`combine ${String(layer)} ${String(microBatch)}`),
    release: ({ microBatch }) => calls.push(`release ${String(microBatch)}`),
    adoptPlacement: () => undefined,
    park: () => undefined,
    close: () => undefined,
  };
  let nowUs = 0;
  const recorder = new FlightRecorder(64);
  const clock = new StepClock({ nowUs: () => nowUs++, wallMs: () => 0 }, [recorder]);
  const driver = new StepDriver({
    stage,
    port,
    clock,
    chooser: { choose: ({ index }) => calls.push(`choose ${String(index)}`) },
    routes: { note: () => undefined },
  });
  const follower = {
    orderOf: createStepOrders(layerCount),
    overlap,
    begin: (step: Step) => {
      driver.beginStep(step);
    },
    startMicroBatch: ({ microBatches }: Step, microBatch: number) => {
      const batch = microBatches[microBatch];
      if (batch !== undefined) driver.embed(batch);
    },
    endMicroBatch: (_: Step, microBatch: number) => calls.push(`end ${String(microBatch)}`),
    end: () => calls.push('end step'),
    next: () => following.shift(),
  };
  const run = (first: Step): void => {
    for (const { step, action } of walkSteps(first, follower)) driver.perform(step, action);
  };
  return { calls, run, times: clock.times, recorder };
}

function plannedStep() {
  const batcher = new Batcher({
    policy: fcfs,
    kvPageCount: 8,
    kvPageSize: 16,
    microBatchCount,
    tokensPerMicroBatchMax: 16,
    prefillChunkTokensMax: 16,
    maxNumSeqs: 8,
    maxQueuedRequests: 8,
    positionsMax: 64,
  });
  for (const id of [1, 2]) {
    batcher.add({
      id: sequenceId(id),
      promptTokens: [1, 2, 3],
      maxTokens: 4,
      eosTokenIds: [],
      ignoreEos: true,
      arrivedAtMs: 0,
      sampling: {},
    });
  }
  const step = batcher.planStep(0);
  if (step === undefined) throw new Error('two sequences make a step');
  return step;
}

describe('StepDriver', () => {
  it('performs the actions of pingPong, and sums and releases after every combine', () => {
    const { calls, run } = noted();
    run(plannedStep());
    const expected = [...pingPong(layerCount, [0, 1].map(microBatchIndex))].flatMap((action) => {
      const index = String(action.microBatch);
      if (action.type === 'sample') return [`logits ${index}`, `choose ${index}`, `end ${index}`];
      const where = `${String(action.layer)} ${index}`;
      if (action.type === 'combine')
        return [`combine ${where}`, `sum ${where}`, `release ${index}`];
      return action.type === 'attend' && action.layer === 0
        ? [`embed ${index}`, `attend ${where}`]
        : [`${action.type} ${where}`];
    });
    expect(calls).toEqual(['begin 0,1', ...expected, 'end step']);
  });

  it('starts the next step, when overlapping, while the second micro-batch is still away', () => {
    const { calls, run } = noted([plannedStep()], true);
    run(plannedStep());
    const last = String(layerCount - 1);
    const from = calls.indexOf('end 0');
    expect(calls.slice(from, calls.indexOf('attend 1 0', from + 1))).toEqual([
      'end 0',
      'begin 0,1',
      'embed 0',
      'attend 0 0',
      'dispatch 0 0',
      `combine ${last} 1`,
      `sum ${last} 1`,
      'release 1',
      'logits 1',
      'choose 1',
      'end 1',
      'embed 1',
      'attend 0 1',
      'dispatch 0 1',
      'end step',
      'combine 0 0',
      'sum 0 0',
      'release 0',
    ]);
  });

  it('counts each call in its own part of the time', () => {
    const { run, times } = noted();
    run(plannedStep());
    const halfLayers = layerCount * microBatchCount;
    // One microsecond per timed call: attend, combine and logits compute, and so does each
    // embedding.
    expect(times).toMatchObject({
      halfLayers,
      computeUs: 2 * halfLayers + 2 * microBatchCount,
      waitUs: halfLayers,
      dispatchUs: halfLayers,
      samplingUs: microBatchCount,
    });
  });

  it('records each call, with its place and its time', () => {
    const { run, recorder } = noted();
    run(plannedStep());
    const { kinds, layers, microBatches, startUs, endUs, sizes, lost } = recorder.read();
    const names = kinds.map((kind) => eventKinds[kind]);
    expect(names.slice(0, 6)).toEqual([
      'embed',
      'attend',
      'dispatch',
      'embed',
      'attend',
      'dispatch',
    ]);
    expect(names.slice(-6)).toEqual(
      ['wait', 'combine', 'logits', 'wait', 'combine', 'logits']
        .flatMap((name) => (name === 'logits' ? ['logits', 'sample'] : [name]))
        .slice(-6),
    );
    expect(layers.at(1)).toBe(0);
    expect(microBatches.at(4)).toBe(1);
    expect(sizes.at(1)).toBe(3);
    expect(endUs.every((end, index) => end === (startUs[index] ?? 0) + 1)).toBe(true);
    expect(lost).toBe(0);
  });
});
