import type { EngineStats, Topology } from '@megascale/engine';
import type { HttpContext } from '../http/http-context.js';

export interface HealthReport {
  readonly status: 200 | 503;
  readonly body: {
    readonly status: EngineStats['state'];
    /** Why the engine is not ready. */
    readonly reason?: string;
    readonly model?: string;
    readonly topology?: Topology;
    readonly stats?: EngineStats;
  };
}

/**
 * Reports whether the server is ready. The reason, the topology and the figures are only in the
 * report for clients that hold the key (`isTrusted`).
 */
export async function healthReport(
  { model }: HttpContext,
  isTrusted: boolean,
): Promise<HealthReport> {
  const stats = await model.stats().catch((error: unknown) => String(error));
  if (typeof stats === 'string') {
    return { status: 503, body: { status: 'failed', ...(isTrusted ? { reason: stats } : {}) } };
  }
  const ready = stats.state === 'ready';
  const reason = ready ? {} : { reason: stats.reason ?? reasonOf(stats.state) };
  const { name, topology } = model.info;
  const facts = isTrusted ? { ...reason, model: name, topology, stats } : {};
  return { status: ready ? 200 : 503, body: { status: stats.state, ...facts } };
}

function reasonOf(state: EngineStats['state']): string {
  const reasons = {
    ready: 'ready',
    draining: 'The server is shutting down and takes no new requests.',
    failed: 'The engine failed; the log says why.',
    closed: 'The engine is closed.',
  } as const;
  return reasons[state];
}
