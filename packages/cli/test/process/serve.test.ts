import { createServer, type AddressInfo, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { startCli, type CliOptions, type CliRun } from '../support/cli-fixture.js';
import { deferred } from '@megascale/core/testing';
import { until } from '@megascale/core/testing';

const blockers: Server[] = [];
afterEach(() => {
  for (const blocker of blockers.splice(0)) blocker.close();
});

const serve = (words: readonly string[] = [], options: CliOptions = {}) =>
  startCli(['serve', 'some/model', '--port', '0', ...words], options);

async function urlOf(run: CliRun): Promise<string> {
  await until(() => run.stdout.includes('\n'));
  return /http:\/\/[^\s"]+/.exec(run.stdout)?.[0] ?? '';
}

const complete = (url: string, headers: Record<string, string> = {}) =>
  fetch(`${url}/v1/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify({ prompt: 'x', max_tokens: 2 }),
  });

describe('serve', () => {
  it('says where it listens, what it runs and how to ask, and ends with 0 after a signal', async () => {
    const run = serve();
    const url = await urlOf(run);
    expect(url).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(run.stdout).toContain('MegaScale serves scripted');
    expect(run.stdout).toContain('1 attention worker ⇄ 2 expert workers over shm, 3 micro-batches');
    expect(run.stdout).toContain(`curl ${url}/v1/completions`);
    expect(await (await complete(url)).json()).toMatchObject({ choices: [{ text: ' a b' }] });
    run.signals.emit('SIGTERM');
    expect(await run.code).toBe(0);
    expect(run.model.closedWithDrainMs).toBe(30_000);
    await expect(fetch(url)).rejects.toThrow();
  });

  it('prints one JSON document with --json', async () => {
    const run = serve(['--json', '--name', 'other', '--colocated']);
    const url = await urlOf(run);
    expect(JSON.parse(run.stdout)).toEqual({
      url,
      model: 'scripted',
      topology: run.model.info.topology,
      backend: 'scripted',
      isa: 'none',
    });
    expect(run.loaded?.deployment).toMatchObject({ name: 'other', colocated: true });
    run.signals.emit('SIGINT');
    expect(await run.code).toBe(0);
    expect(run.stderr).toBe('');
  });

  it('finishes what is running before it ends', async () => {
    const gate = deferred();
    const run = serve(['--drain-ms', '4000'], { script: { pause: () => gate.promise } });
    const answer = complete(await urlOf(run));
    await until(() => run.model.running === 1);
    run.signals.emit('SIGINT');
    // The echo of the same key press.
    run.signals.emit('SIGINT');
    await until(() => run.model.closedWithDrainMs === 4000);
    gate.resolve();
    expect(await (await answer).json()).toMatchObject({ choices: [{ text: ' a b' }] });
    expect(await run.code).toBe(0);
    expect(run.exits).toEqual([]);
  });

  it('ends at once on a second signal that is no echo', async () => {
    let nowUs = 0;
    const clock = { nowUs: () => nowUs, wallMs: () => 0 };
    const gate = deferred();
    const run = serve([], { clock, script: { pause: () => gate.promise } });
    const answer = complete(await urlOf(run));
    await until(() => run.model.running === 1);
    run.signals.emit('SIGINT');
    nowUs = 900_000;
    run.signals.emit('SIGINT');
    expect(run.exits).toEqual([]);
    nowUs = 1_100_000;
    run.signals.emit('SIGTERM');
    expect(run.exits).toEqual([143]);
    gate.resolve();
    await answer;
    await run.code;
  });

  it('asks for the key of the environment, and shows no key', async () => {
    const run = serve([], { readEnvironment: () => ({ apiKey: 'sesame' }) });
    const url = await urlOf(run);
    expect((await complete(url)).status).toBe(401);
    expect((await complete(url, { authorization: 'Bearer sesame' })).status).toBe(200);
    expect(run.stdout).toContain('Bearer $MEGASCALE_API_KEY');
    expect(run.stdout + run.stderr).not.toContain('sesame');
    run.signals.emit('SIGINT');
    await run.code;
  });

  it('refuses a port in use before it loads anything, and says what to do', async () => {
    const blocker = createServer();
    blockers.push(blocker);
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve));
    const { port } = blocker.address() as AddressInfo;
    const run = startCli(['serve', 'some/model', '--port', String(port)]);
    expect(await run.code).toBe(1);
    expect(run.stderr).toMatch(
      new RegExp(`^error ERR_PORT_IN_USE: Port ${port} on 127\\.0\\.0\\.1 is in use\\..*--port`),
    );
    expect(run.loaded).toBeUndefined();
    expect(run.signals.listenerCount('SIGINT')).toBe(0);
  });

  it('refuses an address this machine has not', async () => {
    const run = serve(['--host', '192.0.2.1']);
    expect(await run.code).toBe(1);
    expect(run.stderr).toMatch(/^error ERR_CONFIG_FIELD: .*192\.0\.2\.1.*--host/);
  });

  it('warns when anybody on the network may use it', async () => {
    const run = serve(['--host', '0.0.0.0']);
    expect(await urlOf(run)).toMatch(/^http:\/\/localhost:/);
    expect(run.stderr).toContain('--api-key');
    run.signals.emit('SIGINT');
    await run.code;
  });
});
