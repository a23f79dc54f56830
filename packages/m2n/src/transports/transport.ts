import { randomBytes } from 'node:crypto';
import type { AttentionPort, ExpertPort, TransportFactory } from '@megascale/core';
import type { Nonce } from '../protocol/address.js';
import { SharedAttentionPort } from '../attention/attention-port.js';
import { joinPeers } from '../peers/join-peers.js';
import { SharedExpertPort } from '../expert/expert-port.js';
import { portShape } from '../protocol/port-shape.js';
import { attentionSegmentLayout, expertSegmentBytes } from '../protocol/segment-layout.js';
import type { PortContext, SharedMemory } from '../memory/shared-memory.js';

/** A transport whose workers share memory, or keep copies of it alike; transports differ in what makes `memory`. */
export function sharedMemoryTransport(
  name: string,
  memoryOf: (context: PortContext) => SharedMemory,
  probe: TransportFactory['probe'],
): TransportFactory {
  return {
    specVersion: 1,
    name,
    memoryKinds: ['host'],
    probe,

    async openAttention(rank, options): Promise<AttentionPort> {
      const shape = portShape(options);
      const layout = attentionSegmentLayout(shape);
      const nonce = randomNonce();
      const memory = memoryOf({ role: 'attention', rank, options, shape, nonce, layout });
      const { byteLength } = layout;
      const self = { role: 'attention', rank, byteLength } as const;
      const peers = { role: 'expert', byteLength: expertSegmentBytes(shape) } as const;
      const joined = await joinPeers({ memory, options, shape, nonce, self, peers });
      const { buffer, words, peers: experts } = joined;
      return new SharedAttentionPort({
        rank,
        options,
        shape,
        layout,
        buffer,
        words,
        experts,
        memory,
      });
    },

    async openExpert(rank, options): Promise<ExpertPort> {
      const shape = portShape(options);
      const layout = attentionSegmentLayout(shape);
      const nonce = randomNonce();
      const memory = memoryOf({ role: 'expert', rank, options, shape, nonce, layout });
      const self = { role: 'expert', rank, byteLength: expertSegmentBytes(shape) } as const;
      const peers = { role: 'attention', byteLength: layout.byteLength } as const;
      const { words, peers: attention } = await joinPeers({
        memory,
        options,
        shape,
        nonce,
        self,
        peers,
      });
      return new SharedExpertPort({ rank, options, shape, layout, words, attention, memory });
    },
  };
}

function randomNonce(): Nonce {
  const bytes = randomBytes(8);
  return [bytes.readInt32LE(0), bytes.readInt32LE(4)];
}
