// One of the two processes of dispatch-latency.mjs: attention|expert DIST BYTES.
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';
import { systemClock } from '@megascale/core';

const [role, dist, byteText] = process.argv.slice(2);
const { shm } = await import(pathToFileURL(`${dist}/index.js`).href);
const byteLength = Number(byteText);
const rowBytes = Math.min(byteLength, 2048);
const tokens = byteLength / rowBytes;
const clock = systemClock;

const rendezvous = {
  async exchange(own) {
    const answer = once(process, 'message');
    process.send(own);
    const [addresses] = await answer;
    return addresses;
  },
};
const options = {
  attentionWorkerCount: 1,
  expertWorkerCount: 1,
  placement: [[[0]]],
  layerCount: 1,
  hiddenSize: rowBytes / 4,
  topK: 1,
  dtype: 'f32',
  tokensPerSlotMax: tokens,
  slotCount: 1,
  peerTimeoutMs: 20_000,
  spinUs: 10_000,
  gather: { type: 'lockstep' },
  rendezvous,
  clock,
  stopReason: () => undefined,
  allocate: (length) => ({ memory: 'host', byteLength: length, bytes: new Uint8Array(length) }),
};
const floats = (bytes) => new Float64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 8);

if (role === 'attention') {
  const port = await shm.openAttention(0, options);
  runOnRequest(port, exchanger(port));
} else {
  const port = await shm.openExpert(0, options);
  process.send('open');
  // Lets the message go out before this thread blocks.
  setTimeout(() => {
    answerAll(port);
    process.exit();
  }, 100);
}

function runOnRequest(port, exchange) {
  process.on('message', (exchanges) => {
    if (exchanges === 0) {
      port.close();
      process.disconnect();
      return;
    }
    const samples = new Float64Array(3 * exchanges);
    for (let index = 0; index < exchanges; index += 1) exchange(samples, 3 * index);
    // The first tenth fills caches.
    process.send([...samples.subarray(3 * Math.floor(exchanges / 10))]);
  });
  process.send('open');
}

/**
 * One exchange's end to end, dispatch latency and round trip in µs; the expert side writes the
 * first two into its outputs.
 */
function exchanger(port) {
  const [slot] = port.slots;
  const hidden = slot.hidden.bytes;
  const answers = slot.answers.bytes;
  const [stamps, reported] = [floats(hidden), floats(answers)];
  const mine = new Uint8Array(byteLength).fill(7);
  const theirs = new Uint8Array(byteLength);
  const ids = slot.expertIds.bytes;
  new Int32Array(ids.buffer, ids.byteOffset, tokens).fill(0);
  const microBatches = [0];
  return (samples, at) => {
    const begunUs = clock.nowUs();
    hidden.set(mine);
    stamps[0] = begunUs;
    stamps[1] = clock.nowUs();
    port.beginStep(microBatches);
    const ticket = port.dispatch(0, 0, tokens);
    port.combine(ticket);
    theirs.set(answers);
    const endedUs = clock.nowUs();
    port.release(ticket);
    samples[at] = reported[0];
    samples[at + 1] = reported[1];
    samples[at + 2] = endedUs - begunUs;
  };
}

function answerAll(port) {
  const [slot] = port.slots;
  const hidden = slot.hidden.bytes;
  const answers = slot.answers.bytes;
  const [stamps, reported] = [floats(hidden), floats(answers)];
  const mine = new Uint8Array(byteLength).fill(9);
  const theirs = new Uint8Array(byteLength);
  for (let input = port.receive(); input !== undefined; input = port.receive()) {
    const receivedUs = clock.nowUs();
    theirs.set(hidden);
    const readUs = clock.nowUs();
    answers.set(mine);
    reported[0] = readUs - stamps[0];
    reported[1] = receivedUs - stamps[1];
    port.reply(input);
  }
  port.close();
}
