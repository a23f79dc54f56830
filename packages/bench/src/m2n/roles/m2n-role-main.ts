/** One rank of `bench m2n`: a process with one port, told what to do by its parent. */
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { attentionRank, expertRank, type Rendezvous } from '@megascale/core';
import { plugin } from '@megascale/m2n';
import { runReceiver } from './receiver-role.js';
import { transportOptions, type RoleRequest } from './role.js';
import { runSender } from './sender-role.js';

type Addresses = Awaited<ReturnType<Rendezvous['exchange']>>;

function tell(message: object): void {
  process.send?.(message);
}

const rendezvous: Rendezvous = {
  async exchange(address) {
    const answer = once(process, 'message');
    tell({ address });
    const [addresses] = (await answer) as [Addresses];
    return addresses;
  },
};

async function play(request: RoleRequest) {
  const { role, rank, transport, plan, file, core } = request;
  const factory = plugin.transports?.find(({ name }) => name === transport);
  if (factory === undefined) throw new Error(`There is no transport '${transport}'.`);
  // Of this thread only, whose id is the process's: the others are the engine's helpers.
  if (core >= 0) spawnSync('taskset', ['-cp', String(core), String(process.pid)]);
  const options = transportOptions(request, rendezvous);
  if (role === 'sender') {
    const port = await factory.openAttention(attentionRank(rank), options);
    const { samples, heapBytesPerMessage } = runSender(port, plan);
    port.close();
    writeFileSync(file, samples);
    return heapBytesPerMessage;
  }
  const port = await factory.openExpert(expertRank(rank), options);
  const { samples, heapBytesPerMessage } = runReceiver(port, plan, rank);
  port.close();
  writeFileSync(file, samples);
  return heapBytesPerMessage;
}

async function main(): Promise<void> {
  const [request] = (await once(process, 'message')) as [RoleRequest];
  try {
    tell({ heapBytesPerMessage: await play(request) });
  } catch (error) {
    tell({ error: error instanceof Error ? error.message : String(error) });
  }
  process.disconnect();
}

void main();
