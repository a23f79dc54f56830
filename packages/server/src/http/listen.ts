import { createServer, type AddressInfo } from 'node:net';
import { ConfigError } from '@megascale/core';
import type { FastifyInstance } from 'fastify';

export interface ListenAddress {
  readonly host: string;
  /** 0 lets the system choose a free port. */
  readonly port: number;
}

/**
 * Starts to listen.
 *
 * @throws ConfigError 'ERR_PORT_IN_USE', or 'ERR_CONFIG_FIELD' for the host.
 */
export async function listenOn(app: FastifyInstance, address: ListenAddress): Promise<void> {
  try {
    await app.listen({ host: address.host, port: address.port });
  } catch (error) {
    throw explain(error, address);
  }
}

/** Checks that `listenOn` can listen at this address, without a server. Throws what it throws. */
export async function checkAddress(address: ListenAddress): Promise<void> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject).listen(address.port, address.host, resolve);
    });
  } catch (error) {
    throw explain(error, address);
  }
  await new Promise((resolve) => probe.close(resolve));
}

/** Returns the URL at which a program on this machine reaches the server. */
export function urlOf({ address, family, port }: AddressInfo): string {
  if (address === '0.0.0.0' || address === '::') return `http://localhost:${port}`;
  return family === 'IPv6' ? `http://[${address}]:${port}` : `http://${address}:${port}`;
}

function explain(cause: unknown, { host, port }: ListenAddress): unknown {
  const code = (cause as NodeJS.ErrnoException).code;
  if (code === 'EADDRINUSE') {
    return new ConfigError('ERR_PORT_IN_USE', {
      message: `Port ${port} on ${host} is in use. Stop what listens there, or choose another with --port (0 takes a free one).`,
      details: { host, port },
      cause,
    });
  }
  if (code === 'EACCES') {
    return new ConfigError('ERR_CONFIG_FIELD', {
      message: `This user may not listen on port ${port}. Choose one above 1023 with --port.`,
      details: { field: 'port', host, port },
      cause,
    });
  }
  if (
    code === 'EADDRNOTAVAIL' ||
    code === 'ENOTFOUND' ||
    code === 'EAI_AGAIN' ||
    code === 'EINVAL'
  ) {
    return new ConfigError('ERR_CONFIG_FIELD', {
      message: `This machine has no address ${host}. Give one it has with --host, or 0.0.0.0 for all.`,
      details: { field: 'host', host },
      cause,
    });
  }
  return cause;
}
