import type { Clock } from '@megascale/core';
import type { FastifyInstance, LightMyRequestResponse } from 'fastify';
import { createHttpServer, type HttpOptions } from '../http/http.js';
import { ScriptedModel, type Script } from './scripted-model.js';

/** Makes a clock that is a millisecond later at each look; its wall-clock time stands still. */
export function steppingClock(): Clock {
  let nowUs = 0;
  return { nowUs: () => (nowUs += 1000), wallMs: () => 1_700_000_000_000 };
}

export interface Fixture {
  readonly app: FastifyInstance;
  readonly model: ScriptedModel;
}

export function scriptedServer(
  script: Script = {},
  options: Partial<Omit<HttpOptions, 'model' | 'clock'>> = {},
): Fixture {
  const model = new ScriptedModel(script);
  let ids = 0;
  const newId = (): string => String((ids += 1));
  return { app: createHttpServer({ model, clock: steppingClock(), newId, ...options }), model };
}

export function post(
  { app }: Fixture,
  url: string,
  payload: unknown,
): Promise<LightMyRequestResponse> {
  return app.inject({ method: 'POST', url, payload: payload as object });
}

export const chatUrl = '/v1/chat/completions';
export const completionUrl = '/v1/completions';
export const hello = [{ role: 'user', content: 'hello' }];

/**
 * Returns the data of every event of a stream; the last is '[DONE]' where the stream ended well.
 */
export function eventsOf(response: LightMyRequestResponse): unknown[] {
  return response.body
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length))
    .map((data): unknown => (data === '[DONE]' ? data : JSON.parse(data)));
}
