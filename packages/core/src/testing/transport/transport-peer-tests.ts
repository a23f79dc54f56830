import { expect } from 'vitest';
import {
  expectWell,
  lastOutcome,
  optionsFor,
  patientMs,
  serving,
  type RunTeam,
  type TransportTest,
} from './transport-case.js';
import { endOfRank, stopText, type PlainTransportOptions } from './transport-script.js';

const shortMs = 2000;
/** On top of a limit, for a busy machine. */
const generousMs = 15_000;

export function peerTests(test: TransportTest, run: RunTeam): void {
  const step = { type: 'step', tokens: [3, 4] } as const;
  const silent = { type: 'sleep', ms: 2 * shortMs } as const;
  const until = (event: string) => ({ type: 'await', event }) as const;
  const options = (m: number, n: number): PlainTransportOptions =>
    optionsFor(m, n, { peerTimeoutMs: shortMs });

  test('a silent expert rank is ERR_PEER_TIMEOUT within the limit and not before', async () => {
    const expert = [
      [{ type: 'serve' }],
      [{ type: 'serve', inputs: 2 }, until(endOfRank('attention', 0))],
    ] as const;
    const report = await run({ options: options(1, 2), attention: [[step, step]], expert });
    const outcome = lastOutcome(report.attention[0]);
    expect(outcome.error?.code).toBe('ERR_PEER_TIMEOUT');
    expect(outcome.error?.message).toMatch(/attention rank 0 at layer \d, micro-batch \d/);
    expect(outcome.error?.message).toContain('expert rank 1');
    expect(outcome.elapsedMs).toBeGreaterThanOrEqual(shortMs - 1);
    expect(outcome.elapsedMs).toBeLessThan(shortMs + generousMs);
  });

  test('a slow expert rank is waited for', async () => {
    const expert = [[{ type: 'serve', delayMs: shortMs / 8 }]] as const;
    expectWell(await run({ options: options(1, 1), attention: [[step]], expert }));
  });

  test('a silent attention rank in step is ERR_PEER_TIMEOUT at the expert rank that waits for it', async () => {
    const begun = { type: 'begin-step', microBatches: [0, 1] } as const;
    const sent = { type: 'dispatch', layer: 0, microBatch: 0, tokens: 4 } as const;
    // Steps for as long as it takes until both ranks are at work.
    const steps = { type: 'random-steps', count: 5000, parkChance: 0, pauseMsMax: 2 } as const;
    // A rank that comes two steps too late is not waited for: the other lets it come first.
    const attention = [
      [until('rank 1 is in step'), steps],
      [
        begun,
        sent,
        { type: 'signal', event: 'rank 1 is in step' },
        until(endOfRank('attention', 0)),
      ],
    ] as const;
    const report = await run({
      options: optionsFor(2, 1, { peerTimeoutMs: patientMs }),
      expertOptions: { peerTimeoutMs: shortMs },
      attention,
      expert: serving(1),
    });
    const happened = JSON.stringify(report);
    expect(lastOutcome(report.attention[0]).error?.code, happened).toBe('ERR_PEER_CLOSED');
    const { error } = lastOutcome(report.expert[0]);
    expect(error?.code, happened).toBe('ERR_PEER_TIMEOUT');
    expect(error?.message).toMatch(/expert rank 0 at layer \d, micro-batch \d/);
    expect(error?.message).toContain('attention rank 1');
  });

  test('a rank that is parked, or has not begun, is not waited for', async () => {
    const attention = [[step, step, step], [silent], [step, { type: 'park' }, silent]] as const;
    // Whom the expert rank waits for is what its own limit tells.
    const expertOptions = { peerTimeoutMs: shortMs };
    const patient = optionsFor(3, 1, { peerTimeoutMs: patientMs });
    expectWell(await run({ options: patient, expertOptions, attention, expert: serving(1) }));
  });

  test('an expert rank waits for work without a limit', async () => {
    const attention = [[step, { type: 'park' }, silent, step]] as const;
    // The attention rank is patient, so that only the expert rank's limit is tested.
    const patient = optionsFor(1, 1, { peerTimeoutMs: patientMs });
    const expertOptions = { peerTimeoutMs: shortMs };
    expectWell(await run({ options: patient, expertOptions, attention, expert: serving(1) }));
  });

  test('a closed expert rank is ERR_PEER_CLOSED', async () => {
    const patient = optionsFor(1, 2, { peerTimeoutMs: patientMs });
    const expert = [[{ type: 'serve' }], [{ type: 'close' }]] as const;
    const report = await run({ options: patient, attention: [[step, step]], expert });
    const { error } = lastOutcome(report.attention[0]);
    expect(error?.code).toBe('ERR_PEER_CLOSED');
    expect(error?.message).toContain('expert rank 1');
  });

  test('a dead expert rank is ERR_PEER_CLOSED', async () => {
    const patient = optionsFor(1, 2, { peerTimeoutMs: patientMs });
    const expert = [[{ type: 'serve' }], [{ type: 'serve', inputs: 2 }, { type: 'die' }]] as const;
    const report = await run({ options: patient, attention: [[step, step]], expert });
    const { error, elapsedMs } = lastOutcome(report.attention[0]);
    expect(error?.code).toBe('ERR_PEER_CLOSED');
    expect(error?.message).toContain('expert rank 1');
    expect(elapsedMs).toBeLessThan(patientMs);
    expect(report.expert[0]?.error).toBeUndefined();
    expect(report.expert[1]).toBeUndefined();
  });

  test('a dead attention rank is ERR_PEER_CLOSED', async () => {
    const patient = optionsFor(2, 1, { peerTimeoutMs: patientMs });
    // Rank 1 parks: where it was in step, a rank 0 that begins later would wait for it.
    const attention = [
      [step, { type: 'die' }],
      [step, { type: 'park' }, until(endOfRank('expert', 0))],
    ] as const;
    const report = await run({ options: patient, attention, expert: serving(1) });
    const { error, elapsedMs } = lastOutcome(report.expert[0]);
    expect(error?.code).toBe('ERR_PEER_CLOSED');
    expect(error?.message).toContain('attention rank 0');
    expect(elapsedMs).toBeLessThan(patientMs);
  });

  test('a reason to stop ends a wait', async () => {
    const patient = optionsFor(1, 1, { peerTimeoutMs: patientMs });
    const expert = [[{ type: 'receive' }, until(endOfRank('attention', 0))]] as const;
    const report = await run({
      options: patient,
      attention: [[step]],
      expert,
      stopOnceOpenMs: 500,
    });
    const { error } = lastOutcome(report.attention[0]);
    expect(error?.code).toBe('ERR_PEER_CLOSED');
    expect(error?.message).toContain(stopText);
  });

  test('peers with other options refuse to open', async () => {
    for (const expertOptions of [
      { hiddenSize: 16 },
      { slotCount: 3 },
      { layerCount: 3 },
      { combine: 'expert' },
    ] as const) {
      const report = await run({
        options: options(1, 1),
        attention: [[step]],
        expert: serving(1),
        expertOptions,
      });
      for (const participant of [...report.attention, ...report.expert]) {
        expect(participant?.error?.code).toBe('ERR_PROTOCOL_VERSION');
        expect(participant?.error?.message).toContain(Object.keys(expertOptions)[0]);
      }
    }
  });

  test('an address that is none refuses', async () => {
    for (const text of ['', 'nobody', '{}', '[1]', 'null', '9'.repeat(5000)]) {
      const report = await run({
        options: options(1, 1),
        attention: [[step]],
        expert: serving(1),
        changeAddress: () => text,
      });
      for (const participant of [...report.attention, ...report.expert]) {
        expect(participant?.error?.code).toMatch(/ERR_(FRAME_INVALID|PROTOCOL_VERSION)/);
      }
    }
  });
}
