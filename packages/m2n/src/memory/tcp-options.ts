import { isIP } from 'node:net';
import { ConfigError, type NetworkOptions } from '@megascale/core';
import type { PortShape } from '../protocol/port-shape.js';

export type TcpOptions = Required<Omit<NetworkOptions, 'provider' | 'preSharedKey'>> &
  Pick<NetworkOptions, 'preSharedKey'>;

const preSharedKeyBytesMin = 16;
const wildcards = new Set(['0.0.0.0', '::']);

/** @throws ConfigError 'ERR_CONFIG_FIELD' */
export function tcpOptions(network: NetworkOptions = {}): TcpOptions {
  const { host = '127.0.0.1', port = 0, busyPollUs = 0, trafficClass = 0 } = network;
  const { congestionControl = '', preSharedKey } = network;
  if (isIP(host) === 0 || wildcards.has(host)) {
    throw invalid(
      'host',
      host,
      'an IPv4 or IPv6 address of this machine that its peers can connect to',
    );
  }
  integer('port', port, 65535);
  integer('busyPollUs', busyPollUs, 1_000_000);
  integer('trafficClass', trafficClass, 255);
  if (congestionControl.length > 15) {
    throw invalid('congestionControl', congestionControl, 'the name of an algorithm');
  }
  if (preSharedKey !== undefined && Buffer.byteLength(preSharedKey) < preSharedKeyBytesMin) {
    throw invalid(
      'preSharedKey',
      `${Buffer.byteLength(preSharedKey)} bytes`,
      `${preSharedKeyBytesMin} bytes or more, for instance of \`openssl rand -hex 32\``,
    );
  }
  const key = preSharedKey === undefined ? {} : { preSharedKey };
  return { host, port, busyPollUs, trafficClass, congestionControl, ...key };
}

/**
 * The head of a message counts the bytes behind it in one word.
 *
 * @throws ConfigError 'ERR_CONFIG_FIELD' for slots whose rows, or whose answers, are more.
 */
export function checkMessageBytes(shape: PortShape): void {
  const { tokensPerSlotMax, hiddenSize, topK, elementBytes } = shape;
  const rowBytes = hiddenSize * elementBytes;
  const tokenBytes = Math.max(rowBytes + 12 * topK, topK * rowBytes);
  const tokensMax = Math.floor((2 ** 32 - 1) / tokenBytes);
  if (tokensPerSlotMax <= tokensMax) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `TransportOptions.tokensPerSlotMax is ${tokensPerSlotMax}; over tcp a micro-batch of this model has at most ${tokensMax} tokens, so that its answers fit a message.`,
    details: { field: 'tokensPerSlotMax', value: tokensPerSlotMax, max: tokensMax },
  });
}

function integer(field: string, value: number, max: number): void {
  if (Number.isInteger(value) && value >= 0 && value <= max) return;
  throw invalid(field, value, `an integer from 0 to ${max}`);
}

function invalid(field: string, value: unknown, expected: string): ConfigError {
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `TransportOptions.network.${field} is ${String(value)}; it must be ${expected}.`,
    details: { field: `network.${field}`, expected },
  });
}
