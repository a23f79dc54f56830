import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { LLM } from '@megascale/engine';
import { composeHttpServer } from '@megascale/server';
import type { FastifyInstance } from 'fastify';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { until } from '@megascale/core/testing';

/** The built-in model behind real workers, with the official client in front. */
const directory = fileURLToPath(new URL('../../../../models/dictionary', import.meta.url));
const workerFile = new URL('../../../engine/dist/worker-process-main.js', import.meta.url);

const subjects = ['river', 'music', 'stone', 'umbrella', 'to sing', 'quiet', 'telescope', 'bread'];

interface Case {
  readonly prompt: string;
  readonly max_tokens: number;
  readonly temperature: number;
  readonly seed: number;
  /** Its client goes away after this many events. */
  readonly leavesAfter?: number;
}

/** 64 requests of mixed lengths; every third one, 20 in all, is left in mid-stream. */
const cases = Array.from({ length: 64 }, (_, index): Case => {
  const leaves = index % 3 === 1 && index < 60;
  const words = Array.from(
    { length: 1 + ((index * 11) % 40) },
    (__, at) => subjects[(index + at) % 8],
  );
  return {
    prompt: words.join(', '),
    max_tokens: leaves ? 300 : 4 + ((index * 7) % 30),
    temperature: index % 2,
    seed: index,
    ...(leaves ? { leavesAfter: 1 + (index % 5) } : {}),
  };
});

describe('64 concurrent streams, 20 of them left by their clients', () => {
  let llm: LLM;
  let app: FastifyInstance;
  let client: OpenAI;

  beforeAll(async () => {
    const topology = { attentionWorkers: 2, expertWorkers: 2, microBatches: 3, threads: 1 };
    llm = await LLM.load(directory, topology, { workerFile });
    app = composeHttpServer({ model: llm });
    await app.listen({ host: '127.0.0.1', port: 0 });
    const { port } = app.server.address() as AddressInfo;
    client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'none', maxRetries: 0 });
  });
  afterAll(async () => {
    app.server.closeAllConnections();
    await app.close();
    await llm.close();
  });

  async function streamed({ leavesAfter, ...fields }: Case): Promise<string> {
    const extensions = { ignore_eos: true, top_k: 40 };
    const body = { model: 'dictionary', stream: true as const, ...fields, ...extensions };
    const stream = await client.completions.create(body);
    let text = '';
    let events = 0;
    for await (const { choices } of stream) {
      text += choices[0]?.text ?? '';
      events += 1;
      if (events === leavesAfter) stream.controller.abort();
    }
    return text;
  }

  it('answers the others as if each were alone, and holds nothing afterwards', async () => {
    const stay = cases.filter(({ leavesAfter }) => leavesAfter === undefined);
    expect(cases.length - stay.length).toBe(20);
    const alone = new Map<Case, string>();
    for (const one of stay) alone.set(one, await streamed(one));

    const texts = await Promise.all(cases.map(async (one) => [one, await streamed(one)] as const));
    for (const [one, text] of texts) {
      if (one.leavesAfter === undefined) expect(text).toBe(alone.get(one));
    }
    await until(async () => {
      const stats = await llm.stats();
      const idle = stats.requestsRunning === 0 && stats.requestsWaiting === 0;
      return idle && stats.kvPagesFree === stats.kvPagesTotal;
    });
  }, 120_000);
});
