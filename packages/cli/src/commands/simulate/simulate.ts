import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { loadPolicy } from '@megascale/engine';
import {
  drawRequests,
  parseRequestTrace,
  seriesChart,
  simulatedTrace,
  simulateServing,
  traceLimits,
  type ServingReport,
  type SimulatedRequest,
  type Straggler,
  type TokenLengths,
  type WorkerFailure,
} from '@megascale/planner';
import { Command } from 'commander';
import type { CliWorld } from '../../world.js';
import { failuresFlag, stragglersFlag } from '../../flags/fault-flags.js';
import { realNumber, safeInteger, wholeNumber } from '../../flags/number-flags.js';
import { addLengthFlags, lengthsOf, type LengthFlags } from '../../flags/length-flags.js';
import { simulateFleetCommand } from './simulate-fleet.js';
import { simulatePaperCommand } from './simulate-paper.js';
import { servingText } from './simulate-text.js';
import {
  addSimulatedDeploymentFlags,
  simulationTarget,
  type SimulatedDeploymentFlags,
} from '../../flags/simulated-deployment-flags.js';
import { UsageError } from '../../output/usage-error.js';
import { writeChartFile, writeTextFile } from '../../output/write-files.js';

interface SimulateFlags extends SimulatedDeploymentFlags, LengthFlags {
  readonly requestsPerSecond: number;
  readonly duration: number;
  readonly warmUp?: number;
  readonly arrivals: string;
  readonly burstiness: number;
  readonly policy: string;
  readonly ttftTargetMs?: number;
  readonly tpotTargetMs?: number;
  readonly failures?: readonly WorkerFailure[];
  readonly stragglers?: readonly Straggler[];
  readonly trace?: string;
  readonly traceEvents: number;
  readonly chart?: string;
  readonly json?: boolean;
}

export function simulateCommand(world: CliWorld): Command {
  const command = new Command('simulate')
    .description('What a deployment would do, on a simulated clock: one instance, or a fleet.')
    .argument('[MODEL]', 'a known name, a config.json, or a directory that has one');
  addSimulatedDeploymentFlags(command)
    .option('--requests-per-second <r>', 'on average', realNumber(1e-6, 1e6), 1)
    .option('--duration <s>', 'seconds of arrivals', realNumber(0.001, 1e7), 60)
    .option('--warm-up <s>', 'that do not count (default: a quarter)', realNumber(0, 1e7))
    .option(
      '--arrivals <how>',
      'poisson, bursty, or a recorded trace (JSON lines or CSV)',
      'poisson',
    )
    .option('--burstiness <cv>', 'of bursty: coefficient of variation', realNumber(0.05, 20), 3);
  addLengthFlags(command)
    .option('--policy <policy>', 'fcfs, prefill-first, slo-aware, a file, a package', 'fcfs')
    .option('--ttft-target-ms <ms>', 'wanted time to the first token', realNumber(0.001, 1e9))
    .option('--tpot-target-ms <ms>', 'wanted time from token to token', realNumber(0.001, 1e9))
    .option(
      '--failures <list>',
      'worker:rank@at+recovery in seconds: attention:0@30+10',
      failuresFlag,
    )
    .option('--stragglers <list>', 'worker:rank@from+for×factor: expert:1@20+30x2', stragglersFlag)
    .option('--seed <seed>', 'same seed, same requests', safeInteger, 0)
    .option('--trace <file>', 'the newest events of all workers, for Perfetto')
    .option('--trace-events <count>', 'so many', wholeNumber(1, 1_000_000), 50_000)
    .option(
      '--chart <file>',
      'draw tokens, queue and KV pages over time: .svg, or .html with the figures',
    )
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Every attention worker runs the engine's batcher with the policy; steps take what the pipeline makes them take, by the costs that plan uses.
Nothing is measured and no accelerator is needed. docs/simulator.md says what is modelled and how far it is off.

Examples:
  megascale simulate mixtral-8x22b --requests-per-second 8 --duration 120 --chart day.svg
  megascale simulate --plan plan.json --arrivals bursty --policy slo-aware --tpot-target-ms 150 --json
  megascale simulate mixtral-8x22b --failures attention:0@30+10 --stragglers expert:1@40+10x2 --trace trace.json
  megascale simulate dbrx --arrivals requests.csv
  megascale simulate fleet mixtral-8x22b --gpus 10000 --requests-per-second 1000
  megascale simulate paper`,
    )
    .action((model: string | undefined, flags: SimulateFlags) => simulate(model, flags, world));
  return command.addCommand(simulateFleetCommand(world)).addCommand(simulatePaperCommand(world));
}

async function simulate(
  model: string | undefined,
  flags: SimulateFlags,
  world: CliWorld,
): Promise<void> {
  const target = simulationTarget(model, flags);
  const policy = await loadPolicy(flags.policy);
  const lengths = lengthsOf(flags);
  const { duration: durationS, warmUp: warmUpS = durationS / 4 } = flags;
  const { ttftTargetMs, tpotTargetMs, failures = [], stragglers = [] } = flags;
  const targets = {
    ...(ttftTargetMs === undefined ? {} : { ttftMs: ttftTargetMs }),
    ...(tpotTargetMs === undefined ? {} : { tpotMs: tpotTargetMs }),
  };
  const { report, timeline, timelineLost } = simulateServing({
    instance: target.instance,
    limits: target.limits,
    policy,
    durationS,
    warmUpS,
    requests: requestsOf(flags, lengths),
    faults: { failures, stragglers },
    timelineEvents: flags.trace === undefined ? 0 : flags.traceEvents,
    ...(Object.keys(targets).length === 0 ? {} : { targets }),
  });
  if (flags.trace !== undefined) {
    writeTextFile(flags.trace, JSON.stringify(simulatedTrace(timeline)));
    world.stderr.write(
      `${timeline.length} events in ${flags.trace}, ${timelineLost} older ones left out; open it in https://ui.perfetto.dev\n`,
    );
  }
  const text = servingText(target, report, flags.arrivals);
  if (flags.chart !== undefined) {
    const svg = servingChart(target.modelName, report);
    writeChartFile(flags.chart, { title: `Simulated: ${target.modelName}`, svg, text });
  }
  const setting = {
    model: target.modelName,
    deployment: target.deployment,
    policy: policy.name,
    requestsPerSecond: flags.requestsPerSecond,
    durationS,
    warmUpS,
    seed: flags.seed,
    arrivals: flags.arrivals,
    lengths,
  };
  world.stdout.write(flags.json === true ? `${JSON.stringify({ setting, ...report })}\n` : text);
}

function requestsOf(flags: SimulateFlags, lengths: TokenLengths): Iterable<SimulatedRequest> {
  const { arrivals, burstiness, requestsPerSecond, duration, seed } = flags;
  const drawn = { requestsPerSecond, durationS: duration, lengths, seed };
  if (arrivals === 'poisson') return drawRequests({ ...drawn, arrivals: { type: arrivals } });
  if (arrivals === 'bursty') {
    return drawRequests({
      ...drawn,
      arrivals: { type: arrivals, coefficientOfVariation: burstiness },
    });
  }
  return parseRequestTrace(readTrace(arrivals));
}

function readTrace(file: string): string {
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, 'r');
    const { size } = fstatSync(descriptor);
    if (size > traceLimits.bytes) {
      throw new UsageError(`${file} has ${size} bytes, of ${traceLimits.bytes} at most.`);
    }
    return readFileSync(descriptor, 'utf8');
  } catch (error) {
    if (error instanceof UsageError) throw error;
    throw new UsageError(
      `--arrivals is poisson, bursty, or a file that can be read: ${(error as Error).message}.`,
    );
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
}

function servingChart(model: string, { samples }: ServingReport): string {
  return seriesChart({
    title: `Simulated instance of ${model}`,
    times: samples.map(({ atS }) => atS),
    timeUnit: 's',
    series: [
      {
        title: 'output tokens a second',
        values: samples.map((sample) => sample.outputTokensPerSecond),
      },
      { title: 'running sequences', values: samples.map(({ running }) => running) },
      { title: 'waiting sequences', values: samples.map(({ waiting }) => waiting) },
      { title: 'KV pages held, %', values: samples.map(({ kvUse }) => 100 * kvUse) },
    ],
  });
}
