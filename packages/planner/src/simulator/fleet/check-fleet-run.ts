import { ConfigError } from '@megascale/core';
import { checkLengths } from '../load/token-lengths.js';
import type { FleetRun } from './fleet-run.js';

const instancesMax = 100_000;
const requestsMax = 2_000_000_000;

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming the field. */
export function checkFleetRun({
  instances,
  load,
  lengths,
  durationS = 86_400,
  ...run
}: FleetRun): void {
  checkLengths(lengths);
  const { amplitude = 0.5, requestsPerSecond } = load;
  const count = run.router?.type === 'choices' ? run.router.count : 1;
  const { failures, stragglers } = run.faults ?? {};
  const wrong = [
    whole('instances', instances, instancesMax),
    whole('samples', run.samples ?? 144, 10_000),
    whole('router.count', count, 1000),
    within('load.requestsPerSecond', requestsPerSecond, requestsMax),
    within('load.requestsPerSecond × durationS', requestsPerSecond * durationS, requestsMax),
    amplitude >= 0 && amplitude < 1 ? undefined : `load.amplitude is ${amplitude}, of 0 to 1`,
    within('faults.failures.meanHoursBetween', failures?.meanHoursBetween ?? 1, 1e9),
    within('faults.stragglers.meanHoursBetween', stragglers?.meanHoursBetween ?? 1, 1e9),
    within('faults.stragglers.factor', stragglers?.factor ?? 1, 1e6),
  ].find((finding) => finding !== undefined);
  if (wrong === undefined) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `Simulated fleet: ${wrong}. Give values within these limits.`,
    details: { path: wrong.split(' ')[0] },
  });
}

function whole(field: string, value: number, max: number): string | undefined {
  const fits = Number.isInteger(value) && value >= 1 && value <= max;
  return fits ? undefined : `${field} is ${value}, of 1 to ${max}`;
}

function within(field: string, value: number, max: number): string | undefined {
  return value > 0 && value <= max ? undefined : `${field} is ${value}, of more than 0 to ${max}`;
}
