import type { BackendFactory } from './backend.js';
import type { SchedulerPolicy } from './scheduler-policy.js';
import type { TransportFactory } from './transport.js';

/**
 * What a plug-in package exports as `plugin`. Worker processes import the package by its name and
 * pick from these lists, so an implementation reaches them without anyone else importing it.
 */
export interface Plugin {
  readonly backends?: readonly BackendFactory[];
  readonly transports?: readonly TransportFactory[];
  readonly policies?: readonly SchedulerPolicy[];
}
