import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCheckpoint, ConfigError } from '@megascale/core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { finishedCli, startCli } from '../support/cli-fixture.js';
import { until } from '@megascale/core/testing';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'megascale-cli-'));
});
afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

const generate = (...words: string[]) => ['generate', 'some/model', ...words];

describe('a wrong command line ends with 2 before anything is loaded', () => {
  it.each([
    ['an unknown command', ['dance'], "unknown command 'dance'"],
    ['an unknown flag', ['serve', 'm', '--warp'], "unknown option '--warp'"],
    ['no model', ['generate', '--prompt', 'x'], "missing required argument 'MODEL'"],
    ['no prompt', generate(), 'exactly one of --prompt'],
    ['two prompts', generate('--prompt', 'x', '--prompt-tokens', '1'), 'exactly one of --prompt'],
    ['chat with token ids', generate('--prompt-tokens', '1', '--chat'), '--chat'],
    ['a flag without its value', generate('--prompt'), 'argument missing'],
    ['half a worker', generate('--prompt', 'x', '--attention-workers', '1.5'), 'whole number'],
    ['no workers', generate('--prompt', 'x', '--expert-workers', '0'), 'from 1 to 256'],
    ['no tokens', generate('--prompt', 'x', '--max-tokens', '-1'), 'at least 1'],
    ['a word for a number', generate('--prompt', 'x', '--temperature', 'hot'), 'a number'],
    ['too large a share', generate('--prompt', 'x', '--top-p', '1.5'), 'from 0 to 1'],
    ['token ids that are none', generate('--prompt-tokens', '1,x'), 'token ids'],
    ['a seed past safe integers', generate('--prompt', 'x', '--seed', '9007199254740993'), 'whole'],
    ['an impossible port', ['serve', 'm', '--port', '65536'], 'from 0 to 65535'],
    ['an unknown level', ['serve', 'm', '--log-level', 'loud'], 'one of trace, debug'],
    ['an unknown family', ['make-model', 'd', '--family', 'x'], 'Allowed choices'],
    ['a prompts file that is not there', generate('--prompts', '/nowhere'), 'Cannot read /nowhere'],
  ] as const)('%s', async (_, words, message) => {
    const run = await finishedCli(words);
    expect(run.code).toBe(2);
    expect(run.stderr).toMatch(/^error ERR_USAGE: /);
    expect(run.stderr).toContain(message);
    expect(run.stderr.trimEnd().split('\n').length).toBeLessThan(3);
    expect(run.stdout).toBe('');
    expect(run.loaded).toBeUndefined();
  });

  it('with the help on stderr when there is no command', async () => {
    const run = await finishedCli([]);
    expect(run).toMatchObject({ code: 2, stdout: '' });
    expect(run.stderr).toContain('Usage: megascale');
    expect(run.stderr).toContain('error ERR_USAGE: Name a command');
  });

  it('and says so as JSON when JSON was asked for', async () => {
    const run = await finishedCli(generate('--json'));
    expect(run.code).toBe(2);
    expect(JSON.parse(run.stdout)).toMatchObject({ error: { code: 'ERR_USAGE' } });
  });
});

describe('help', () => {
  it.each([
    [['--help'], 'doctor'],
    [['help', 'serve'], '--drain-ms'],
    [['serve', '--help'], 'default: 8000'],
    [['generate', '--help'], 'ttftMs'],
    [['make-model', '--help'], '--expert-width'],
    [['quantize', '--help'], 'compressed-tensors'],
    [['doctor', '--help'], '--json'],
  ] as const)('%j shows flags and examples and ends with 0', async (words, text) => {
    const run = await finishedCli(words);
    expect(run.code).toBe(0);
    expect(run.stdout).toContain('Usage: megascale');
    expect(run.stdout).toContain(text);
    expect(run.stdout).toContain('Examples:');
  });

  it.each(['--version', '-v'])('%s prints the version of the package', async (flag) => {
    expect((await finishedCli([flag])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it('is the same for -h, also of nested commands', async () => {
    for (const words of [[], ['serve'], ['bench', 'decode']]) {
      const { stdout, code } = await finishedCli([...words, '-h']);
      expect({ stdout, code }).toEqual({
        stdout: (await finishedCli([...words, '--help'])).stdout,
        code: 0,
      });
    }
  });

  it('lists the commands in groups', async () => {
    const { stdout } = await finishedCli(['-h']);
    const places = ['Serve, chat and generate:', 'Plan and simulate:', 'Measure:', 'Tools:'].map(
      (heading) => stdout.indexOf(`\n${heading}\n`),
    );
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(places).not.toContain(-1);
  });
});

describe('generate', () => {
  it('streams the text and a line end to stdout', async () => {
    const run = await finishedCli(generate('--prompt', 'x', '--max-tokens', '3'));
    expect(run).toMatchObject({ code: 0, stdout: ' a b c\n', stderr: '' });
    expect(run.model.closedWithDrainMs).toBe(0);
  });

  it('prints one JSON document, timed by the clock', async () => {
    const words = generate('--prompt-tokens', '5, 6', '--max-tokens', '3', '--json');
    const run = await finishedCli(words);
    expect(run.stdout.endsWith('\n')).toBe(true);
    expect(JSON.parse(run.stdout)).toEqual({
      tokens: [100, 101, 102],
      text: ' a b c',
      finishReason: 'length',
      usage: { promptTokens: 2, cachedPromptTokens: 0, outputTokens: 3 },
      topology: run.model.info.topology,
      timing: { ttftMs: 1, tpotMs: 1, e2eMs: 3 },
    });
    expect(run.model.calls[0]?.prompt).toEqual([5, 6]);
  });

  it('has no time per token for one token, and log-probabilities when asked', async () => {
    const words = generate('--prompt', 'x', '--max-tokens', '1', '--logprobs', '1', '--json');
    expect(JSON.parse((await finishedCli(words)).stdout)).toMatchObject({
      timing: { tpotMs: null },
      logprobs: [{ id: 100, text: ' a', logprob: -0.5, topLogprobs: [{ logprob: -0.5 }] }],
    });
  });

  it('hands on what was given and nothing else', async () => {
    const bare = await finishedCli(generate('--prompt', 'x'));
    expect(bare.loaded?.directory).toBe('some/model');
    expect(Object.values(bare.loaded?.deployment ?? {}).filter(Boolean)).toEqual([]);
    expect(Object.keys(bare.model.calls[0]?.options ?? {})).toEqual(['signal']);

    const flags =
      '--attention-workers 2 --expert-workers 4 --expert-replicas 2 --combine expert --micro-batches 3 --transport shm --backend cpu ' +
      '--threads 2 --spin-us 900 --isa scalar --kv-pages 64 --kv-cache-dtype int8 ' +
      '--prefill-chunk-tokens 32 --max-num-batched-tokens 128 --gather window=50 --prompt x ' +
      '--emulated-link latencyUs=100,gigabitsPerSecond=25 ' +
      '--max-tokens 9 --temperature 0.5 --top-k 4 --top-p 0.9 --min-p 0.1 --seed -3 ' +
      '--stop b --stop c --ignore-eos';
    const full = await finishedCli(generate(...flags.split(' ')));
    expect(full.loaded?.deployment).toEqual({
      attentionWorkers: 2,
      expertWorkers: 4,
      expertReplicas: 2,
      combine: 'expert',
      microBatches: 3,
      transport: 'shm',
      emulatedLink: { latencyUs: 100, gigabitsPerSecond: 25 },
      backend: 'cpu',
      threads: 2,
      spinUs: 900,
      isa: 'scalar',
      colocated: undefined,
      kvPages: 64,
      kvCacheDtype: 'int8',
      prefillChunkTokens: 32,
      maxNumBatchedTokens: 128,
      gather: { type: 'window', windowUs: 50 },
    });
    expect(full.model.calls[0]?.options).toMatchObject({
      maxTokens: 9,
      temperature: 0.5,
      topK: 4,
      topP: 0.9,
      minP: 0.1,
      seed: -3,
      stop: ['b', 'c'],
      ignoreEos: true,
    });
    const colocated = await finishedCli(generate('--prompt', 'x', '--colocated'));
    expect(colocated.loaded?.deployment.colocated).toBe(true);
  });

  it('hands on the times of the null backend', async () => {
    const words = ['--backend', 'null', '--backend-settings', 'attendUs=500,expertUs=0.5'];
    const run = await finishedCli(generate('--prompt', 'x', ...words));
    const backendSettings = { attendUs: 500, expertUs: 0.5 };
    expect(run.loaded?.deployment).toMatchObject({ backend: 'null', backendSettings });
  });

  it('puts a prompt into the chat template when asked', async () => {
    const run = await finishedCli(generate('--prompt', 'hi', '--chat', '--max-tokens', '1'));
    const prompt = run.model.calls[0]?.prompt as number[];
    expect(String.fromCodePoint(...prompt)).toBe('<user>hi');
  });

  it('runs a file of prompts together, the flags as their defaults', async () => {
    const file = join(folder, 'prompts.jsonl');
    const lines = [
      { prompt: 'x', seed: 1 },
      { promptTokens: [7], maxTokens: 1, stop: ['!'] },
    ];
    writeFileSync(file, `${lines.map((line) => JSON.stringify(line)).join('\n\n')}\n`);
    const run = await finishedCli(generate('--prompts', file, '--max-tokens', '2', '--json'));
    expect(run.code).toBe(0);
    expect(run.model.calls).toMatchObject([
      { prompt: 'x', options: { seed: 1, maxTokens: 2 } },
      { prompt: [7], options: { maxTokens: 1, stop: ['!'] } },
    ]);
    expect(JSON.parse(run.stdout)).toMatchObject({
      results: [
        {
          tokens: [100, 101],
          text: ' a b',
          usage: { promptTokens: 2, cachedPromptTokens: 0, outputTokens: 2 },
        },
        { tokens: [100], finishReason: 'length' },
      ],
      topology: { microBatches: 3 },
    });
  });

  it.each([
    ['{', 'no JSON object'],
    ['{}', 'exactly one of prompt and promptTokens'],
    ['{"prompt":"x","max_tokens":3}', 'max_tokens'],
    ['{"prompt":"x","maxTokens":0}', 'maxTokens'],
    ['', 'has no prompts'],
  ])('refuses the prompts file %j and says where', async (text, message) => {
    const file = join(folder, 'bad.jsonl');
    writeFileSync(file, text);
    const run = await finishedCli(generate('--prompts', file));
    expect(run.code).toBe(2);
    expect(run.stderr).toContain(message);
    expect(run.stderr).toContain(text === '' ? file : `${file}:1`);
  });

  it('ends with 1 and the code of what failed, without a stack', async () => {
    const error = new ConfigError('ERR_CHECKPOINT_MISSING', {
      message: 'There is no directory. Give one.',
      details: { directory: 'some/model' },
    });
    const forPeople = await finishedCli(generate('--prompt', 'x'), { loadFailure: error });
    expect(forPeople).toMatchObject({
      code: 1,
      stdout: '',
      stderr: 'error ERR_CHECKPOINT_MISSING: There is no directory. Give one.\n',
    });
    const words = generate('--prompt', 'x', '--json');
    const forPrograms = await finishedCli(words, { loadFailure: error });
    expect(forPrograms).toMatchObject({ code: 1, stderr: '' });
    expect(JSON.parse(forPrograms.stdout)).toEqual({
      error: {
        code: 'ERR_CHECKPOINT_MISSING',
        message: 'There is no directory. Give one.',
        details: { directory: 'some/model' },
      },
    });
  });

  it('shows the stack of an error nobody foresaw', async () => {
    const run = await finishedCli(generate('--prompt', 'x'), { loadFailure: new Error('oops') });
    expect(run.code).toBe(1);
    expect(run.stderr).toMatch(/^error ERR_INTERNAL: Error: oops\n +at /);
  });

  it('closes the model when generating fails', async () => {
    const failure = { afterTokens: 1, error: new Error('oops') };
    const run = await finishedCli(generate('--prompt', 'x'), { script: { failure } });
    expect(run.code).toBe(1);
    expect(run.model.closedWithDrainMs).toBe(0);
  });

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('stops in order on %s', async (signal, code) => {
    const pause = () => new Promise<void>(() => undefined);
    const run = startCli(generate('--prompt', 'x'), { script: { pause } });
    await until(() => run.model.running === 1);
    run.signals.emit(signal);
    expect(await run.code).toBe(code);
    expect(run.model).toMatchObject({ running: 0, closedWithDrainMs: 0 });
    expect(run.stderr).toBe('');
    expect(run.signals.listenerCount(signal)).toBe(0);
  });
});

describe('make-model', () => {
  it('writes a checkpoint the engine can open, and says how large it is', async () => {
    const directory = join(folder, 'random');
    const sizes = '--hidden 32 --layers 1 --experts 2 --top-k 1 --expert-width 16 --heads 2';
    const more = '--kv-heads 1 --vocab 300 --positions 64 --seed 5 --json';
    const words = ['make-model', directory, ...sizes.split(' '), ...more.split(' ')];
    const run = await finishedCli(words);
    expect(run.stderr).toBe('');
    expect(run.code).toBe(0);
    const document = JSON.parse(run.stdout) as { weightBytes: number };
    expect(document).toMatchObject({ directory, family: 'mixtral', seed: 5 });
    expect(document.weightBytes).toBeGreaterThan(300 * 32 * 2);
    expect(openCheckpoint(directory).config).toMatchObject({ hidden_size: 32, vocab_size: 300 });

    const again = await finishedCli(words);
    expect(again.code).toBe(1);
    expect(JSON.parse(again.stdout)).toMatchObject({ error: { code: 'ERR_CONFIG_FIELD' } });
  });
});

describe('doctor', () => {
  const probePlugins = () =>
    Promise.resolve({
      backends: [
        { name: 'cpu', available: true, device: 'A CPU', variants: ['avx2', 'scalar'] },
        { name: 'cuda', available: false, reason: 'no CUDA driver' },
      ] as const,
      transports: [{ name: 'shm', available: true }] as const,
    });

  it('says what can run and why not the rest', async () => {
    const { stdout, code } = await finishedCli(['doctor'], { probePlugins });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^yes {2}Node\.js/m);
    expect(stdout).toMatch(/^yes {2}backend cpu +A CPU; kernels: avx2, scalar$/m);
    expect(stdout).toMatch(/^no {3}backend cuda +no CUDA driver$/m);
    expect(stdout).toMatch(/^yes {2}transport shm +can run$/m);
  });

  it('says it as JSON', async () => {
    const { stdout } = await finishedCli(['doctor', '--json'], { probePlugins });
    expect(JSON.parse(stdout)).toMatchObject({
      node: { version: process.version, supported: true },
      backends: [{ name: 'cpu' }, { name: 'cuda', reason: 'no CUDA driver' }],
      transports: [{ name: 'shm', available: true }],
    });
  });
});
