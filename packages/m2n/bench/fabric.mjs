// One way over the transport `fabric` beside libfabric's own ping-pong tool, in turns on one
// machine:
//
//   node bench/fabric.mjs [--provider shm] [--provider 'tcp;ofi_rxm'] [--bytes 2048,…] [--turns 5]
//
// Run `npm run build:native` and `npm run build` first; `fi_pingpong` is in Debian's libfabric-bin.
//
// Ours: a dispatch of so many bytes of rows (with their routes) and its answers of as many bytes,
// from the call of `dispatch` to the return of `combine`, halved; both processes spin. fi_pingpong:
// a message of so many bytes to and fro, halved, by its own clock; two-sided messages into one
// buffer, which no program writes or reads. Ours writes or reads no rows either.
import { execFile, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs, promisify } from 'node:util';
import { systemClock } from '@megascale/core';
import { fabric } from '@megascale/m2n';

const rowBytes = 2048;
const rounds = 2000;
const warmUp = 500;

const isWorker = process.send !== undefined;
if (isWorker) await serve(JSON.parse(process.argv[2]));
else await measureAll();

async function measureAll() {
  const { values } = parseArgs({
    options: {
      provider: { type: 'string', multiple: true, default: ['shm', 'tcp;ofi_rxm'] },
      bytes: { type: 'string', default: '2048,16384,65536,262144,1048576' },
      turns: { type: 'string', default: '5' },
    },
  });
  console.log(
    'provider      bytes      ours p50   p99  fi_pingpong   ratio   ours GB/s, two slots, both ways',
  );
  for (const provider of values.provider) {
    for (const bytes of values.bytes.split(',').map(Number)) {
      const turns = [];
      for (let turn = 0; turn < Number(values.turns); turn++) {
        turns.push({
          ...(await measureOurs(provider, bytes)),
          tool: await measureTool(provider, bytes),
        });
      }
      const [p50, p99, tool, rate] = ['p50', 'p99', 'tool', 'rate'].map((key) =>
        median(turns.map((turn) => turn[key])),
      );
      const cells = [
        provider.padEnd(12),
        String(bytes).padStart(8),
        ...[p50, p99, tool].map((us) => `${us.toFixed(2)} µs`.padStart(11)),
        (p50 / tool).toFixed(2).padStart(7),
        rate.toFixed(2).padStart(7),
      ];
      console.log(cells.join(' '));
    }
  }
}

/** → { p50, p99 } µs one way, { rate } GB/s of rows and answers together. */
async function measureOurs(provider, bytes) {
  const child = fork(new URL(import.meta.url), [JSON.stringify({ provider, bytes })]);
  const port = await fabric.openAttention(0, optionsFor(provider, bytes, child));
  const [first, second] = port.slots;
  const tokens = bytes / rowBytes;
  for (const { expertIds } of [first, second]) expertIds.bytes.fill(0);
  const times = [];
  for (let round = 0; round < warmUp + rounds; round++) {
    port.beginStep([0]);
    const beganUs = systemClock.nowUs();
    const ticket = port.dispatch(0, 0, tokens);
    port.combine(ticket);
    if (round >= warmUp) times.push((systemClock.nowUs() - beganUs) / 2);
    port.release(ticket);
  }
  const beganUs = systemClock.nowUs();
  for (let round = 0; round < rounds / 2; round++) {
    port.beginStep([0, 1]);
    const tickets = [port.dispatch(0, 0, tokens), port.dispatch(0, 1, tokens)];
    for (const ticket of tickets) {
      port.combine(ticket);
      port.release(ticket);
    }
  }
  const rate = (2 * rounds * bytes) / (systemClock.nowUs() - beganUs) / 1000;
  port.close();
  await once(child, 'exit');
  times.sort((a, b) => a - b);
  return { p50: times[rounds / 2], p99: times[Math.floor(rounds * 0.99)], rate };
}

async function serve({ provider, bytes }) {
  const port = await fabric.openExpert(0, optionsFor(provider, bytes, process));
  for (let input = port.receive(); input !== undefined; input = port.receive()) port.reply(input);
  port.close();
  process.disconnect();
}

function optionsFor(provider, bytes, peer) {
  return {
    attentionWorkerCount: 1,
    expertWorkerCount: 1,
    placement: [[[0]]],
    layerCount: 1,
    hiddenSize: rowBytes / 2,
    topK: 1,
    dtype: 'bf16',
    tokensPerSlotMax: bytes / rowBytes,
    slotCount: 2,
    peerTimeoutMs: 20_000,
    spinUs: 1_000_000,
    gather: { type: 'lockstep' },
    network: { provider },
    clock: systemClock,
    stopReason: () => undefined,
    allocate: () => undefined,
    rendezvous: {
      async exchange(own) {
        const answer = once(peer, 'message');
        peer.send(own);
        const [theirs] = await answer;
        return isWorker
          ? { attention: [theirs], expert: [own] }
          : { attention: [own], expert: [theirs] };
      },
    },
  };
}

/** → µs one way. */
async function measureTool(provider, bytes) {
  const common = ['-e', 'rdm', '-p', provider, '-I', String(rounds), '-S', String(bytes)];
  const server = spawn('fi_pingpong', common, { stdio: 'ignore' });
  await once(server, 'spawn');
  try {
    for (let attempt = 0; ; attempt++) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      try {
        const { stdout } = await promisify(execFile)('fi_pingpong', [...common, '127.0.0.1'], {
          timeout: 20_000,
        });
        return Number(stdout.trim().split('\n').at(-1).trim().split(/\s+/)[6]);
      } catch (error) {
        if (attempt === 3) throw error;
      }
    }
  } finally {
    server.kill();
  }
}

function median(numbers) {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];
}
