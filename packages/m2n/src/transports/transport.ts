import { randomBytes } from 'node:crypto';
import type { TransportFactory, TransportOptions } from '@megascale/core';
import { SharedAttentionPort } from '../attention/attention-port.js';
import { SharedExpertPort } from '../expert/expert-port.js';
import type { PortContext, SharedMemory } from '../memory/shared-memory.js';
import {
  attentionChannels,
  expertChannels,
  type AttentionEnd,
  type ExpertEnd,
  type PortDecorator,
} from '../peers/channels.js';
import { joinPeers, type Joined } from '../peers/join-peers.js';
import type { Nonce, Role } from '../protocol/address.js';
import { portShape } from '../protocol/port-shape.js';
import { attentionSegmentLayout, expertSegmentBytes } from '../protocol/segment-layout.js';
import { emulatedLink } from '../testing/emulated-link/emulated-link.js';

/** A transport of this package, whose ports decorators may change. */
export interface SharedMemoryTransport extends TransportFactory {
  /** The same transport with `decorator` around the parts of each port. */
  decorated(decorator: PortDecorator): SharedMemoryTransport;
}

type MemoryOf = (context: PortContext) => SharedMemory;

/**
 * A transport whose workers share memory, or keep copies of it alike. Transports differ in what
 * makes `memory`. `TransportOptions.emulatedLink` puts its decorator around each port here.
 */
export function sharedMemoryTransport(
  name: string,
  memoryOf: MemoryOf,
  probe: TransportFactory['probe'],
  decorators: readonly PortDecorator[] = [],
): SharedMemoryTransport {
  const decoratorsFor = ({ emulatedLink: link }: TransportOptions) =>
    link === undefined ? decorators : [emulatedLink(link), ...decorators];
  return {
    specVersion: 1,
    name,
    memoryKinds: ['host'],
    probe,
    decorated: (decorator) =>
      sharedMemoryTransport(name, memoryOf, probe, [...decorators, decorator]),

    async openAttention(rank, options) {
      const own = decoratorsFor(options);
      const opened = await open({ role: 'attention', rank, options }, memoryOf, own);
      const { buffer, words, peers: experts, shape, layout, memory } = opened;
      const end: AttentionEnd = { rank, options, shape, layout, buffer, words, experts, memory };
      const channels = own.reduce(
        (inner, { attention }) => attention?.(inner, end) ?? inner,
        attentionChannels(end),
      );
      return new SharedAttentionPort(end, channels);
    },

    async openExpert(rank, options) {
      const own = decoratorsFor(options);
      const opened = await open({ role: 'expert', rank, options }, memoryOf, own);
      const { words, peers: attention, shape, layout, memory } = opened;
      const end: ExpertEnd = { rank, options, shape, layout, words, attention, memory };
      const channels = own.reduce(
        (inner, { expert }) => expert?.(inner, end) ?? inner,
        expertChannels(end),
      );
      return new SharedExpertPort(end, channels);
    },
  };
}

interface Opening {
  readonly role: Role;
  readonly rank: number;
  readonly options: TransportOptions;
}

/** Makes this worker's memory and meets its peers. */
async function open(
  { role, rank, options }: Opening,
  memoryOf: MemoryOf,
  decorators: readonly PortDecorator[],
): Promise<Joined & Pick<AttentionEnd, 'shape' | 'layout' | 'memory'>> {
  const shape = portShape(options);
  const layout = attentionSegmentLayout(shape);
  const nonce = randomNonce();
  const context: PortContext = { role, rank, options, shape, nonce, layout };
  const memory = decorators.reduce(
    (inner, decorator) => decorator.memory?.(inner, context) ?? inner,
    memoryOf(context),
  );
  const attentionBytes = layout.byteLength;
  const expertBytes = expertSegmentBytes(shape);
  const isAttention = role === 'attention';
  const joined = await joinPeers({
    memory,
    options,
    shape,
    nonce,
    self: { role, rank, byteLength: isAttention ? attentionBytes : expertBytes },
    peers: isAttention
      ? { role: 'expert', byteLength: expertBytes }
      : { role: 'attention', byteLength: attentionBytes },
  });
  return { ...joined, shape, layout, memory };
}

function randomNonce(): Nonce {
  const bytes = randomBytes(8);
  return [bytes.readInt32LE(0), bytes.readInt32LE(4)];
}
