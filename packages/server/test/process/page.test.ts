import type { AddressInfo } from 'node:net';
import { createContext, runInContext } from 'node:vm';
import { afterEach, describe, expect, it } from 'vitest';
import { RequestError } from '@megascale/core';
import { pageScript } from '../../src/web/page-script.js';
import { scriptedServer, type Fixture } from '@megascale/server/testing';
import type { Script } from '@megascale/server/testing';
import { until } from '@megascale/core/testing';

let fixture: Fixture | undefined;
afterEach(async () => {
  fixture?.app.server.closeAllConnections();
  await fixture?.app.close();
});

/** As much of a browser as the script touches. */
class FakeElement {
  value = '';
  checked = false;
  disabled = false;
  textContent = '';
  readonly listeners = new Map<string, (event: object) => unknown>();
  addEventListener(type: string, listener: (event: object) => unknown): void {
    this.listeners.set(type, listener);
  }
}

async function openPage(script: Script) {
  fixture = scriptedServer(script);
  await fixture.app.listen({ host: '127.0.0.1', port: 0 });
  const { port } = fixture.app.server.address() as AddressInfo;
  const elements = new Map<string, FakeElement>();
  const element = (id: string): FakeElement => {
    const known = elements.get(id) ?? new FakeElement();
    elements.set(id, known);
    return known;
  };
  const context = createContext({
    document: { getElementById: element },
    fetch: (path: string, options?: RequestInit) =>
      fetch(`http://127.0.0.1:${port}${path}`, options),
    performance,
    AbortController,
    TextDecoderStream,
    setInterval: () => undefined,
  });
  runInContext(pageScript, context);
  element('tokens').value = '3';
  element('temperature').value = '0';
  element('prompt').value = 'x';
  const submit = async (): Promise<void> => {
    await element('form').listeners.get('submit')?.({ preventDefault: () => undefined });
  };
  return { element, submit };
}

describe('the start page', () => {
  it.each([true, false])('streams an answer and shows its timing (chat: %s)', async (chat) => {
    const { element, submit } = await openPage({});
    element('chat').checked = chat;
    await submit();
    expect(element('answer').textContent).toBe(' a b c');
    expect(element('timing').textContent).toMatch(/^3 tokens, TTFT \d+ ms, TPOT [\d.]+ ms$/);
    expect(element('send').disabled).toBe(false);
    await until(() => element('state').textContent !== '');
    expect(element('state').textContent).toBe('ready, 0 running, 0 waiting, KV pages 0 of 64');
  });

  it.each([0, 1])('shows the error that comes after %i tokens', async (afterTokens) => {
    const error = new RequestError('ERR_UNAVAILABLE', { message: 'A worker was lost. Retry.' });
    const { element, submit } = await openPage({ failure: { afterTokens, error } });
    await submit();
    expect(element('timing').textContent).toBe('A worker was lost. Retry.');
  });

  it('stops when told to', async () => {
    const pause = (index: number) =>
      index === 0 ? Promise.resolve() : new Promise<void>(() => undefined);
    const { element, submit } = await openPage({ pause });
    const submitted = submit();
    await until(() => element('answer').textContent === ' a');
    element('stop').listeners.get('click')?.({});
    await submitted;
    expect(element('timing').textContent).toBe('');
    await until(() => fixture?.model.abortedCount === 1);
  });
});
