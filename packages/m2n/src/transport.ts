import type { AttentionPort, ExpertPort, TransportFactory } from '@megascale/core';
import { SharedAttentionPort } from './attention-port.js';
import { joinPeers } from './join-peers.js';
import { SharedExpertPort } from './expert-port.js';
import { portShape } from './port-shape.js';
import { attentionSegmentLayout, expertSegmentBytes } from './segment-layout.js';
import type { SharedMemory } from './shared-memory.js';

/**
 * A transport over memory that all its workers share; `loopback` and `shm` differ in `memory` only.
 */
export function sharedMemoryTransport(
  memory: SharedMemory,
  probe: TransportFactory['probe'],
): TransportFactory {
  return {
    specVersion: 1,
    name: memory.name,
    memoryKinds: ['host'],
    probe,

    async openAttention(rank, options): Promise<AttentionPort> {
      const shape = portShape(options);
      const layout = attentionSegmentLayout(shape);
      const { byteLength } = layout;
      const self = { role: 'attention', rank, byteLength } as const;
      const peers = { role: 'expert', byteLength: expertSegmentBytes(shape) } as const;
      const joined = await joinPeers({ memory, options, shape, self, peers });
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
      const self = { role: 'expert', rank, byteLength: expertSegmentBytes(shape) } as const;
      const peers = { role: 'attention', byteLength: layout.byteLength } as const;
      const { words, peers: attention } = await joinPeers({ memory, options, shape, self, peers });
      return new SharedExpertPort({ rank, options, shape, layout, words, attention, memory });
    },
  };
}
