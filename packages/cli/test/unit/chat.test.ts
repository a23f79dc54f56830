import { PassThrough, Readable } from 'node:stream';
import { RequestError } from '@megascale/core';
import { until } from '@megascale/core/testing';
import { drain, listenOn, urlOf } from '@megascale/server';
import { scriptedServer, type Fixture, type Script } from '@megascale/server/testing';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { finishedCli, startCli, type CliOptions } from '../support/cli-fixture.js';

const servers: Fixture[] = [];
afterEach(async () => {
  for (const { app, model } of servers.splice(0)) await drain(app, model, { drainMs: 0 });
});

async function server(script: Script = {}, apiKey?: string): Promise<Fixture & { url: string }> {
  const fixture = scriptedServer(script, apiKey === undefined ? {} : { apiKey });
  servers.push(fixture);
  await listenOn(fixture.app, { host: '127.0.0.1', port: 0 });
  return { ...fixture, url: urlOf(fixture.app.server.address() as AddressInfo) };
}

const piped = (text: string) => ({ stdin: Readable.from([text]) });
const promptText = (prompt: string | readonly number[] | undefined): string =>
  typeof prompt === 'object' ? String.fromCodePoint(...prompt) : '';

describe('chat from a pipe', () => {
  it('takes every line as a turn, keeps the history, and prints answers only', async () => {
    const { url, model } = await server();
    const run = await finishedCli(
      ['chat', '--url', url, '--max-tokens', '2', '--temperature', '0', '--seed', '4'],
      piped('one\n\ntwo\n'),
    );
    expect(run).toMatchObject({ code: 0, stdout: ' a b\n a b\n', stderr: '' });
    expect(model.calls.map(({ prompt }) => promptText(prompt))).toEqual([
      '<user>one',
      '<user>one<assistant> a b<user>two',
    ]);
    expect(model.calls[0]?.options).toMatchObject({ maxTokens: 2, temperature: 0, seed: 4 });
  });

  it('loads a MODEL and closes it', async () => {
    const words = ['chat', 'some/model', '--max-tokens', '1', '--attention-workers', '2'];
    const run = await finishedCli(words, piped('x'));
    expect(run).toMatchObject({ code: 0, stdout: ' a\n', stderr: '' });
    expect(run.loaded).toMatchObject({
      directory: 'some/model',
      deployment: { attentionWorkers: 2 },
    });
    expect(run.model.closedWithDrainMs).toBe(0);
  });

  it('obeys /system, /reset, // and /exit', async () => {
    const { url, model } = await server();
    const lines = ['a', '/system Be brief.', '/reset', '//b', '/exit', 'c'];
    const words = ['chat', '--url', url, '--max-tokens', '1', '--system', 'First.'];
    const run = await finishedCli(words, piped(lines.join('\n')));
    expect(run).toMatchObject({ code: 0, stdout: ' a\n a\n' });
    expect(model.calls.map(({ prompt }) => promptText(prompt))).toEqual([
      '<system>First.<user>a',
      '<system>Be brief.<user>/b',
    ]);
  });

  it('shows a refusal in the words of the server, and takes the turn back', async () => {
    const { url, model } = await server({ info: { maxModelLen: 40 } });
    const lines = ['a', 'far too long for it', 'b'];
    const words = ['chat', '--url', url, '--max-tokens', '1'];
    const run = await finishedCli(words, piped(lines.join('\n')));
    expect(run.code).toBe(1);
    expect(run.stderr).toContain('error: Too long. Shorten it.');
    expect(run.stdout).toBe(' a\n a\n');
    // The second turn is not in the prompt of the third.
    expect(model.calls.map(({ prompt }) => promptText(prompt))).toEqual([
      '<user>a',
      '<user>a<assistant> a<user>far too long for it',
      '<user>a<assistant> a<user>b',
    ]);
  });

  it('shows what goes wrong in mid-answer', async () => {
    const error = new RequestError('ERR_UNAVAILABLE', { message: 'A worker was lost.' });
    const { url } = await server({ failure: { afterTokens: 1, error } });
    const run = await finishedCli(['chat', '--url', url], piped('x'));
    expect(run).toMatchObject({ code: 1, stdout: ' a\n' });
    expect(run.stderr).toContain('error: A worker was lost.');
  });

  it('sends the key of the environment, and says so when the server refuses it', async () => {
    const { url } = await server({}, 'sesame');
    const words = ['chat', '--url', url, '--max-tokens', '1'];
    const readEnvironment = () => ({ apiKey: 'sesame' });
    expect(await finishedCli(words, { ...piped('x'), readEnvironment })).toMatchObject({ code: 0 });
    const refused = await finishedCli(words, piped('x'));
    expect(refused.code).toBe(2);
    expect(refused.stderr).toContain('key');
  });

  it('says what to do where no server answers, and where both sides are named', async () => {
    const none = await finishedCli(['chat', '--url', 'http://127.0.0.1:9'], piped('x'));
    expect(none.code).toBe(2);
    expect(none.stderr).toContain('No server answers at http://127.0.0.1:9');
    const both = await finishedCli(['chat', 'm', '--url', 'http://127.0.0.1:9'], piped('x'));
    expect(both.code).toBe(2);
    expect(both.stderr).toContain('not both');
  });
});

describe('chat on a terminal', () => {
  const ctrlC = '\u0003';
  const ctrlD = '\u0004';

  function talk(words: readonly string[], options: CliOptions = {}) {
    const keyboard = Object.assign(new PassThrough(), { isTTY: true, setRawMode: () => keyboard });
    const screen = { text: '' };
    const sink = { isTTY: true, columns: 80, write: (text: string) => (screen.text += text) };
    const run = startCli(words, { stdin: keyboard, stdout: sink, stderr: sink, ...options });
    const sees = (text: string) => until(() => screen.text.includes(text));
    return { run, screen, sees, type: (keys: string) => keyboard.write(keys) };
  }

  it('greets, answers, and leaves on Ctrl-D', async () => {
    const { url } = await server();
    const { run, sees, type } = talk(['chat', '--url', url, '--max-tokens', '2']);
    await sees(`Chat with scripted at ${url}`);
    type('hello\r');
    await sees(' a b\n');
    await sees('limit of tokens');
    type('/help\r');
    await sees('/reset');
    type('/dance\r');
    await sees('There is no command /dance');
    type(ctrlD);
    expect(await run.code).toBe(0);
  });

  it('stops an answer on Ctrl-C, and goes on with what was read of it', async () => {
    const pause = (index: number) =>
      index < 2 ? Promise.resolve() : new Promise<void>(() => undefined);
    const { url, model } = await server({ pause });
    const { run, sees, type } = talk(['chat', '--url', url, '--max-tokens', '9']);
    await sees('> ');
    type('one\r');
    await sees(' a b');
    type(ctrlC);
    await sees('(stopped)');
    await until(() => model.running === 0);
    type('two\r');
    await until(() => model.calls.length === 2);
    expect(promptText(model.calls[1]?.prompt)).toBe('<user>one<assistant> a b<user>two');
    type(ctrlC);
    await until(() => model.running === 0);
    type(ctrlD);
    expect(await run.code).toBe(0);
  });

  it('leaves on the second Ctrl-C at the prompt; the first clears a line that is begun', async () => {
    const { url, model } = await server();
    const { run, screen, sees, type } = talk(['chat', '--url', url]);
    await sees('> ');
    type('begun');
    type(ctrlC);
    type(ctrlC);
    await sees('Press Ctrl-C again');
    expect(screen.text.match(/Press Ctrl-C again/g)).toHaveLength(1);
    type(ctrlC);
    expect(await run.code).toBe(0);
    expect(model.calls).toEqual([]);
  });

  it('ends on SIGTERM with the exit code of the signal', async () => {
    const { url } = await server();
    const { run, sees } = talk(['chat', '--url', url]);
    await sees('> ');
    run.signals.emit('SIGTERM');
    expect(await run.code).toBe(143);
  });
});
