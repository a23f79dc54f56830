import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import {
  attentionRank,
  expertRank,
  layerIndex,
  microBatchIndex,
  systemClock,
  type Region,
  type TransportOptions,
} from '@megascale/core';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  formatAddress,
  parseAddress,
  type Address,
  type Role,
} from '../../src/protocol/address.js';
import { portShape, shapeHash } from '../../src/protocol/port-shape.js';
import { shm } from '../../src/transports/shm.js';
import { protocolVersion } from '../../src/protocol/wire-format.js';
import { smallOptions } from '../support/one-thread.js';

const packageFile = (path: string): string =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));
const program = packageFile('build/tests/cpp-end');
const compiler = process.env['CXX'] ?? 'c++';
const isBuildable =
  process.platform === 'linux' && spawnSync(compiler, ['--version']).error === undefined;
const shape = portShape(smallOptions as TransportOptions);

/** Each test is a C++ program (cpp-end.cc) facing a port of this process. */
describe.runIf(isBuildable)('the C++ ends', () => {
  beforeAll(() => {
    const sources = ['port', 'protocol', 'shm'].flatMap((folder) =>
      readdirSync(packageFile(`native/${folder}`))
        .filter((file) => file.endsWith('.cc'))
        .map((file) => packageFile(`native/${folder}/${file}`)),
    );
    mkdirSync(packageFile('build/tests'), { recursive: true });
    const flags = ['-std=c++20', '-O1', '-pthread', '-I', packageFile('native'), '-o', program];
    execFileSync(compiler, [...flags, packageFile('test/support/cpp-end.cc'), ...sources]);
  }, 120_000);

  it('a C++ expert end answers a port', async () => {
    const child = start('expert');
    const port = await shm.openAttention(attentionRank(0), optionsFor(child, 'attention'));
    const microBatch = microBatchIndex(1);
    const slot = port.slots[microBatch];
    if (slot === undefined) throw new Error('There are two slots.');
    integers(slot.expertIds).set([1, -1, 0]);
    for (let step = 1; step <= 200; step++) {
      port.beginStep([microBatch]);
      for (const layer of [layerIndex(0), layerIndex(1)]) {
        const numbers = Array.from({ length: 12 }, (_, index) => step + index + layer);
        floats(slot.hidden).set(numbers);
        const ticket = port.dispatch(layer, microBatch, 3);
        port.combine(ticket);
        const answers = [...floats(slot.answers).subarray(0, 12)];
        const expected = numbers.map((number) => 2 * number);
        expect(answers.slice(0, 4)).toEqual(expected.slice(0, 4));
        expect(answers.slice(8)).toEqual(expected.slice(8));
        port.release(ticket);
      }
      if (step % 7 === 0) port.park();
    }
    port.close();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });

  it('a port answers a C++ attention end', async () => {
    const child = start('attention');
    const port = await shm.openExpert(expertRank(0), optionsFor(child, 'expert'));
    for (let input = port.receive(); input !== undefined; input = port.receive()) {
      for (let row = 0; row < input.rowCount; row++) {
        const slot = port.slots[input.slotIndex[row] ?? 0];
        if (slot === undefined) throw new Error('A row has a slot.');
        const from = (input.hiddenRow[row] ?? 0) * 4;
        const numbers = floats(slot.hidden).subarray(from, from + 4);
        floats(slot.answers).set(
          numbers.map((number) => 2 * number),
          (input.answerRow[row] ?? 0) * 4,
        );
      }
      port.reply(input);
    }
    port.close();
    expect(await once(child, 'exit')).toEqual([0, null]);
  });
});

function start(role: Role): ChildProcess {
  return spawn(program, [role, String(shapeHash(shape))], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
}

/** Options of a port whose peer is that program: addresses become lines, and lines addresses. */
function optionsFor(child: ChildProcess, role: Role): TransportOptions {
  const other: Role = role === 'attention' ? 'expert' : 'attention';
  return {
    ...smallOptions,
    clock: systemClock,
    stopReason: () => undefined,
    allocate: () => {
      throw new Error('Slots lie in the segment.');
    },
    rendezvous: {
      exchange: async (own) => {
        const address = parseAddress(own, { transport: 'shm', role, rank: 0, shape });
        child.stdin?.write(`${lineOf(address)}\n`);
        const theirs = formatAddress(await addressOf(child, other));
        return role === 'attention'
          ? { attention: [own], expert: [theirs] }
          : { attention: [theirs], expert: [own] };
      },
    },
  };
}

function lineOf({ location, nonce }: Address): string {
  const { processId, threadId, startTicks, fd } = location;
  return [processId, threadId, startTicks, fd, ...nonce].join(' ');
}

async function addressOf(child: ChildProcess, role: Role): Promise<Address> {
  if (child.stdout === null) throw new Error('The program has an output.');
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const [processId, threadId, startTicks, fd, low = 0, high = 0] = line.split(' ').map(Number);
  return {
    transport: 'shm',
    version: protocolVersion,
    role,
    rank: 0,
    nonce: [low, high],
    shape,
    location: { processId, threadId, startTicks, fd },
  };
}

function floats({ bytes }: Region): Float32Array {
  if (bytes === undefined) throw new Error('Slots are host memory.');
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

function integers({ bytes }: Region): Int32Array {
  if (bytes === undefined) throw new Error('Slots are host memory.');
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}
