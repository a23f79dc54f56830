import type { AttentionPort, AttentionStage, DispatchTicket } from '@megascale/core';
import { Batcher, createPingPongPlan, firstCome, pingPong } from '@megascale/scheduler';
import { microBatchIndex, sequenceId } from '@megascale/core';
import { describe, expect, it } from 'vitest';
import { emptyStepClock, StepDriver } from './step-driver.js';

const layerCount = 3;
const microBatchCount = 2;

/** A stage and a port that only write down what they are asked, on a clock that advances 1 µs a reading. */
function recorder() {
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
    park: () => undefined,
    close: () => undefined,
  };
  let nowUs = 0;
  const time = emptyStepClock();
  const driver = new StepDriver({
    stage,
    port,
    time,
    clock: { nowUs: () => nowUs++, wallMs: () => 0 },
    planFor: createPingPongPlan(layerCount),
    onLogits: (_, microBatch) => calls.push(`choose ${String(microBatch)}`),
  });
  return { calls, driver, time };
}

function plannedStep() {
  const batcher = new Batcher({
    policy: firstCome,
    kvPageCount: 8,
    kvPageSize: 16,
    microBatchCount,
    tokensPerMicroBatchMax: 16,
    prefillChunkTokensMax: 16,
    runningMax: 8,
    waitingMax: 8,
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
    const { calls, driver } = recorder();
    driver.run(plannedStep());
    const expected = [...pingPong(layerCount, [0, 1].map(microBatchIndex))].flatMap((action) => {
      if (action.type === 'sample') {
        return [`logits ${String(action.microBatch)}`, `choose ${String(action.microBatch)}`];
      }
      const where = `${String(action.layer)} ${String(action.microBatch)}`;
      return action.type === 'combine'
        ? [`combine ${where}`, `sum ${where}`, `release ${String(action.microBatch)}`]
        : [`${action.type} ${where}`];
    });
    expect(calls).toEqual(['begin 0,1', 'embed 0', 'embed 1', ...expected]);
  });

  it('counts each call in its own part of the time', () => {
    const { driver, time } = recorder();
    driver.run(plannedStep());
    const halfLayers = layerCount * microBatchCount;
    // One microsecond per timed call: attend, combine and logits compute, and so does the embedding of all.
    expect(time).toMatchObject({
      halfLayers,
      computeUs: 1 + 2 * halfLayers + microBatchCount,
      waitUs: halfLayers,
      dispatchUs: halfLayers,
      samplingUs: microBatchCount,
    });
  });
});
