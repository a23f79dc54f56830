import {
  seriesChart,
  simulateFleet,
  type FleetFaults,
  type FleetReport,
  type FleetRouter,
} from '@megascale/planner';
import { Command, InvalidArgumentError } from 'commander';
import type { CliWorld } from '../../world.js';
import { addLengthFlags, lengthsOf, type LengthFlags } from '../../flags/length-flags.js';
import { realNumber, safeInteger, wholeNumber } from '../../flags/number-flags.js';
import { fleetText } from './simulate-text.js';
import {
  addSimulatedDeploymentFlags,
  simulationTarget,
  type SimulatedDeploymentFlags,
} from '../../flags/simulated-deployment-flags.js';
import { UsageError } from '../../output/usage-error.js';
import { writeChartFile } from '../../output/write-files.js';

interface FleetFlags extends SimulatedDeploymentFlags, LengthFlags {
  readonly gpus?: number;
  readonly instances?: number;
  readonly requestsPerSecond: number;
  readonly hours: number;
  readonly amplitude: number;
  readonly peakHour: number;
  readonly router: FleetRouter;
  readonly failures?: FleetFaults['failures'];
  readonly stragglers?: FleetFaults['stragglers'];
  readonly chart?: string;
  readonly json?: boolean;
}

export function simulateFleetCommand(world: CliWorld): Command {
  const command = new Command('fleet')
    .description('Many equal instances behind a router, over a day.')
    .argument('[MODEL]', 'a known name, a config.json, or a directory that has one');
  addSimulatedDeploymentFlags(command)
    .option('--gpus <count>', 'accelerators of the whole fleet', wholeNumber(1, 10_000_000))
    .option('--instances <count>', 'instead of --gpus', wholeNumber(1, 100_000))
    .option(
      '--requests-per-second <r>',
      'to the fleet, mean of the day',
      realNumber(1e-6, 1e6),
      1000,
    )
    .option('--hours <h>', 'from midnight', realNumber(0.001, 10_000), 24)
    .option(
      '--amplitude <part>',
      'of the day: 0 is even, 0.5 goes from half to one and a half',
      realNumber(0, 0.999),
      0.5,
    )
    .option('--peak-hour <h>', 'when most comes', realNumber(0, 24), 15)
    .option(
      '--router <how>',
      'round-robin, or the least loaded of so many drawn: choices=2',
      router,
      {
        type: 'choices',
        count: 2,
      } satisfies FleetRouter,
    );
  return addLengthFlags(command)
    .option(
      '--failures <how>',
      'of each instance: mean hours between + seconds of recovery: 720+60',
      failures,
    )
    .option(
      '--stragglers <how>',
      'of each instance: mean hours between + seconds x factor: 24+60x2',
      stragglers,
    )
    .option('--seed <seed>', 'same seed, same day', safeInteger, 0)
    .option('--chart <file>', 'draw the day: .svg, or .html with the figures')
    .option('--json', 'print one JSON document')
    .action((model: string | undefined, flags: FleetFlags) => {
      fleet(model, flags, world);
    });
}

function fleet(model: string | undefined, flags: FleetFlags, world: CliWorld): void {
  const target = simulationTarget(model, flags);
  const instances = instancesOf(flags, target.accelerators);
  const { requestsPerSecond, amplitude, peakHour, hours, seed } = flags;
  const lengths = lengthsOf(flags);
  const report = simulateFleet({
    instance: target.instance,
    limits: target.limits,
    instances,
    lengths,
    seed,
    load: { requestsPerSecond, amplitude, peakHour },
    durationS: hours * 3600,
    router: flags.router,
    faults: {
      ...(flags.failures === undefined ? {} : { failures: flags.failures }),
      ...(flags.stragglers === undefined ? {} : { stragglers: flags.stragglers }),
    },
  });
  const text = fleetText(target, report);
  if (flags.chart !== undefined) {
    const title = `${instances} simulated instances of ${target.modelName}`;
    writeChartFile(flags.chart, { title, svg: fleetChart(title, report), text });
  }
  const { modelName, deployment } = target;
  const setting = { model: modelName, deployment, requestsPerSecond, amplitude, lengths, seed };
  world.stdout.write(flags.json === true ? `${JSON.stringify({ setting, ...report })}\n` : text);
}

function instancesOf({ gpus, instances }: FleetFlags, accelerators: number): number {
  if ((gpus === undefined) === (instances === undefined)) {
    throw new UsageError('Give --gpus or --instances.');
  }
  const count = instances ?? Math.floor((gpus ?? 0) / accelerators);
  if (count >= 1) return count;
  throw new UsageError(`One instance takes ${accelerators} accelerators; give as many.`);
}

function fleetChart(title: string, { samples }: FleetReport): string {
  return seriesChart({
    title,
    times: samples.map(({ atS }) => atS / 3600),
    timeUnit: 'h',
    series: [
      {
        title: 'requests a second, wanted',
        values: samples.map((sample) => sample.wantedRequestsPerSecond),
      },
      {
        title: 'output tokens a second',
        values: samples.map((sample) => sample.outputTokensPerSecond),
      },
      { title: 'running sequences', values: samples.map(({ running }) => running) },
      { title: 'waiting sequences', values: samples.map(({ waiting }) => waiting) },
      { title: 'instances at work, %', values: samples.map(({ busy }) => 100 * busy) },
    ],
  });
}

function router(text: string): FleetRouter {
  if (text === 'round-robin') return { type: text };
  const match = /^choices=(\d{1,4})$/.exec(text);
  if (match !== null) return { type: 'choices', count: Number(match[1]) };
  throw new InvalidArgumentError('Expected round-robin or choices=2.');
}

function failures(text: string): NonNullable<FleetFaults['failures']> {
  const match = /^(\d+(?:\.\d+)?)\+(\d+(?:\.\d+)?)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('Expected hours+seconds: 720+60.');
  return { meanHoursBetween: Number(match[1]), recoveryS: Number(match[2]) };
}

function stragglers(text: string): NonNullable<FleetFaults['stragglers']> {
  const match = /^(\d+(?:\.\d+)?)\+(\d+(?:\.\d+)?)x(\d+(?:\.\d+)?)$/.exec(text);
  if (match === null) throw new InvalidArgumentError('Expected hours+seconds x factor: 24+60x2.');
  return {
    meanHoursBetween: Number(match[1]),
    forS: Number(match[2]),
    factor: Number(match[3]),
  };
}
