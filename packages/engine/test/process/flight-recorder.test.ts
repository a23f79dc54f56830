import { describe, expect, it } from 'vitest';
import { flightTrace, LLM, pipelineNumbers, type LlmOptions } from '../../dist/index.js';
import { dictionary, mixedRequests, runRequests } from '../support/run-requests.js';

const topologies: { name: string; options: LlmOptions }[] = [
  { name: 'colocated', options: { colocated: true } },
  { name: '1 × 2, m = 2', options: { expertWorkers: 2 } },
  {
    name: '2 × 2, m = 3, in lockstep',
    options: {
      attentionWorkers: 2,
      expertWorkers: 2,
      microBatches: 3,
      gather: { type: 'lockstep' },
    },
  },
  { name: '1 × 1 with steps apart', options: { microBatches: 2, overlapSteps: false } },
  {
    name: '1 × 2 with hardly any pages, so that sequences are preempted',
    options: { expertWorkers: 2, kvPages: 10, kvPageSize: 16, maxModelLen: 160 },
  },
];

async function withModel<Result>(
  options: LlmOptions,
  use: (llm: LLM) => Promise<Result>,
): Promise<Result> {
  const llm = await LLM.load(dictionary, { threads: 1, ...options });
  try {
    return await use(llm);
  } finally {
    await llm.close();
  }
}

describe.each(topologies)('the flight recorder of $name', ({ options }) => {
  it('puts all workers on one clock, in a trace without crossing events, and in numbers', async () => {
    const recordings = await withModel(options, async (llm) => {
      await runRequests(llm, mixedRequests(8, 4096));
      return llm.recordings();
    });
    const { attentionWorkers = 1, expertWorkers = 1, colocated = false } = options;
    expect(recordings).toHaveLength(attentionWorkers + (colocated ? 0 : expertWorkers));
    for (const { clockOffsetUs, clockErrorUs } of recordings) {
      // One machine has one clock; the error is half of a round trip between processes.
      expect(clockOffsetUs).toBe(0);
      expect(clockErrorUs).toBeGreaterThan(0);
    }
    const { traceEvents } = flightTrace(recordings);
    const pids = new Set(recordings.map(({ pid }) => pid));
    for (const pid of pids) {
      const own = traceEvents.filter((event) => event.pid === pid && event.ph === 'X');
      expect(own.length).toBeGreaterThan(0);
      expectNesting(own.filter(({ tid }) => tid === 1));
      for (const { ts, dur = -1 } of own) {
        expect(ts).toBeGreaterThanOrEqual(0);
        expect(dur).toBeGreaterThanOrEqual(0);
      }
    }
    const numbers = pipelineNumbers(recordings);
    expect(numbers.attentionUs).toBeGreaterThan(0);
    expect(numbers.expertUs).toBeGreaterThan(0);
    for (const { busyUs, windowUs, bubbles } of numbers.workers) {
      const waiting = bubbles.experts + bubbles.attention + bubbles.link + bubbles.idle;
      expect(busyUs / windowUs + waiting).toBeLessThan(1.001);
    }
  });

  it('says where a request\u2019s time went, and the parts are its whole time', async () => {
    await withModel(options, async (llm) => {
      const requests = mixedRequests(6, 4096).map(({ prompt, options: given }, index) => ({
        prompt,
        options: { ...given, requestId: `r${String(index)}` },
      }));
      const answers = await runRequests(llm, requests);
      for (const [index, answer] of answers.entries()) {
        const [account, ...more] = llm.accounts(`r${String(index)}`);
        if (account === undefined) throw new Error('The request has no account.');
        expect(more).toEqual([]);
        const { totalUs, tokenizingUs, detokenizingUs, otherUs, queueUs, pausedUs } = account;
        const steps =
          account.attentionUs + account.dispatchUs + account.expertsUs + account.combineUs;
        const named = steps + account.samplingUs + account.planningUs + queueUs + pausedUs;
        const sum = named + tokenizingUs + detokenizingUs + otherUs;
        expect(Math.abs(sum / totalUs - 1)).toBeLessThan(0.02);
        // What was measured is never more than the whole, but for the error of reading two clocks,
        // and tokens that are turned to text while the next ones are computed.
        expect(otherUs).toBeGreaterThan(-0.02 * totalUs - detokenizingUs);
        expect(account.outputTokens).toBe(answer.tokens.length);
        expect(account.expertRows.reduce((total, rows) => total + rows, 0)).toBeGreaterThan(0);
      }
      expect(llm.accounts('never')).toEqual([]);
    });
  });

  it('counts the tokenizing of a prompt that the caller had tokenized', async () => {
    await withModel(options, async (llm) => {
      const tokens = llm.encode('lighthouse (noun): '.repeat(20));
      const ask = (requestId: string, prompt: readonly number[]) =>
        runRequests(llm, [{ prompt, options: { maxTokens: 2, requestId } }]);
      await ask('encoded', tokens);
      await ask('given', [...tokens]);
      const tokenizingUs = (id: string) => llm.accounts(id).map((account) => account.tokenizingUs);
      expect(tokenizingUs('encoded')[0]).toBeGreaterThan(0);
      expect(tokenizingUs('given')).toEqual([0]);
      const [account] = llm.accounts('encoded');
      expect(account?.totalUs).toBeGreaterThan(account?.tokenizingUs ?? Infinity);
    });
  });
});

describe('a flight recorder that is off', () => {
  it('records nothing', async () => {
    const recordings = await withModel({ recorderEvents: 0 }, async (llm) => {
      await runRequests(llm, mixedRequests(2, 4096));
      return llm.recordings();
    });
    expect(recordings.map(({ recording }) => recording.kinds)).toEqual([[], []]);
  });
});

interface Span {
  readonly ts: number;
  readonly dur?: number;
}

/** Each event ends before the next begins, or contains it: what a thread does is a tree. */
function expectNesting(events: readonly Span[]): void {
  const open: number[] = [];
  const sorted = [...events].sort((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0));
  // Times are read one after the other: what ends and what begins may share a reading.
  const tolerance = 0.01;
  for (const { ts, dur = 0 } of sorted) {
    while (open.length > 0 && (open.at(-1) ?? 0) <= ts + tolerance) open.pop();
    const end = open.at(-1) ?? Infinity;
    expect(ts + dur).toBeLessThanOrEqual(end + tolerance);
    open.push(ts + dur);
  }
}
