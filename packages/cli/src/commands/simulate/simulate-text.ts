import {
  hardwareTotals,
  poolsOf,
  type Deployment,
  type FleetReport,
  type QuantileSummary,
  type ServingReport,
} from '@megascale/planner';
import type { SimulationTarget } from '../../flags/simulated-deployment-flags.js';

/** Formats the report of one simulated instance for people. */
export function servingText(
  { modelName, deployment }: SimulationTarget,
  report: ServingReport,
  arrivals: string,
): string {
  const { requests, queue, running, kvUse } = report;
  const { accelerators } = hardwareTotals(deployment);
  const good = report.goodRequestsPerSecond;
  return [
    `${modelName} on ${poolsText(deployment)}, ${arrivals} arrivals`,
    `${requests.arrived} requests: ${requests.finished} finished, ${requests.refused} refused, ${requests.unfinished} under way at the end`,
    ...quantileTable([
      ['time to first token', report.ttftMs],
      ['time per output token', report.tpotMs],
      ['between two tokens', report.tokenGapMs],
    ]),
    `output ${report.outputTokensPerSecond.toFixed(1)} tokens/s (${(report.outputTokensPerSecond / accelerators).toFixed(1)} per accelerator), prompts ${report.promptTokensPerSecond.toFixed(1)} tokens/s`,
    ...(good === undefined ? [] : [`within the targets: ${good.toFixed(3)} requests/s`]),
    `running ${running.mean.toFixed(1)} on average, ${running.max} at most; waiting ${queue.mean.toFixed(1)}, ${queue.max}`,
    `KV pages held ${percent(kvUse.mean)} on average, ${percent(kvUse.max)} at most; ${report.preemptions} preemptions`,
    ...(report.resumed === 0
      ? []
      : [`${report.resumed} sequences moved, ${report.recomputedTokens} tokens computed again`]),
    `simulated ${report.simulatedS.toFixed(1)} s in ${report.events} events, ${report.steps} steps`,
    '',
  ].join('\n');
}

export function fleetText(
  { modelName, deployment }: SimulationTarget,
  report: FleetReport,
): string {
  const { requests, instances } = report;
  const { accelerators } = hardwareTotals(deployment);
  const peak = report.samples.reduce((most, sample) => Math.max(most, sample.busy), 0);
  return [
    `${instances} instances of ${modelName} on ${poolsText(deployment)} each: ${instances * accelerators} accelerators, ${(report.durationS / 3600).toFixed(1)} h`,
    `${requests.arrived} requests: ${requests.finished} finished, ${requests.refused} refused, ${requests.unfinished} under way at the end`,
    ...quantileTable([
      ['time to first token', report.ttftMs],
      ['time per output token', report.tpotMs],
    ]),
    `output ${report.outputTokensPerSecond.toFixed(0)} tokens/s (${(report.outputTokensPerSecond / (instances * accelerators)).toFixed(1)} per accelerator)`,
    `instances at work ${percent(report.busy)} of the time, ${percent(peak)} at most`,
    `${report.failures} failures, down ${percent(report.down)} of the time, ${Math.round(report.recomputedTokens)} tokens computed again`,
    `${report.events} events`,
    '',
  ].join('\n');
}

function quantileTable(rows: readonly (readonly [string, QuantileSummary])[]): string[] {
  const cell = (value: number): string => value.toFixed(2).padStart(11);
  const head = ['mean', 'p50', 'p90', 'p99', 'max'].map((name) => name.padStart(11)).join('');
  return [
    `${'ms'.padEnd(22)}${head}`,
    ...rows.map(
      ([name, { mean, p50, p90, p99, max }]) =>
        `${name.padEnd(22)}${[mean, p50, p90, p99, max].map(cell).join('')}`,
    ),
  ];
}

function poolsText(deployment: Deployment): string {
  const pools = poolsOf(deployment).map(
    ({ accelerator, tensorParallel, workers }) =>
      `${workers}${tensorParallel > 1 ? ` × ${tensorParallel}` : ''} ${accelerator.name}`,
  );
  const kind = deployment.kind === 'colocated' ? 'colocated ' : '';
  return `${kind}${pools.join(' | ')}, m = ${deployment.microBatchCount}`;
}

function percent(part: number): string {
  return `${(part * 100).toFixed(1)} %`;
}
