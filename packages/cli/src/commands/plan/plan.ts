import {
  builtInCatalogue,
  deploymentText,
  explainPlan,
  findAccelerator,
  findNetwork,
  makePlanFile,
  mergeCatalogues,
  parseCatalogue,
  planChart,
  searchContext,
  searchPlans,
  searchPrefill,
  withNetwork,
  type Accelerator,
  type Catalogue,
  type ElementBytes,
  type PlanRequest,
} from '@megascale/planner';
import { Command, InvalidArgumentError, Option } from 'commander';
import type { CliWorld } from '../../world.js';
import { modelShapeOf } from './model-shape-argument.js';
import { realNumber, wholeNumber } from '../../flags/number-flags.js';
import { planHere } from './plan-here.js';
import { planText } from './plan-text.js';
import { readJsonFile } from '../../output/read-json-file.js';
import { UsageError } from '../../output/usage-error.js';
import { writeChartFile, writeTextFile } from '../../output/write-files.js';

interface PlanFlags {
  readonly attentionGpu?: readonly string[];
  readonly expertGpu?: readonly string[];
  readonly network?: string;
  readonly sloTpotMs: number;
  readonly sloTtftMs?: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly objective: 'price' | 'accelerator' | 'watt';
  readonly microBatchesMax: number;
  readonly acceleratorsMax: number;
  readonly weightBits?: number;
  readonly kvBits?: number;
  readonly catalogue?: string;
  readonly profile?: string;
  readonly batchMax: number;
  readonly top: number;
  readonly chart?: string;
  readonly out?: string;
  readonly json?: boolean;
}

export function planCommand(world: CliWorld): Command {
  const bits = (choices: readonly string[]) => (text: string) => {
    if (choices.includes(text)) return Number(text);
    throw new InvalidArgumentError(`Expected ${choices.join(', ')}.`);
  };
  return new Command('plan')
    .description('Find the deployment with the best throughput per cost, and say why.')
    .argument('<MODEL>', 'a known name, a config.json, or a directory that has one')
    .option('--attention-gpu <names>', 'kinds for attention (default: all of the catalogue)', names)
    .option('--expert-gpu <names>', 'kinds for experts (default: all of the catalogue)', names)
    .option('--network <name>', 'between all machines (default: what each kind usually has)')
    .option('--slo-tpot-ms <ms>', 'longest time from token to token', realNumber(0.001, 1e7), 150)
    .option(
      '--slo-ttft-ms <ms>',
      'longest time to the first token: plans a prefill pool too',
      realNumber(0.001, 1e9),
    )
    .option('--input-tokens <P>', 'mean prompt tokens', realNumber(1, 1e8), 571)
    .option('--output-tokens <n>', 'mean output tokens', realNumber(1, 1e8), 159)
    .addOption(
      new Option('--objective <what>', 'tokens per second per this')
        .choices(['price', 'accelerator', 'watt'])
        .default('price'),
    )
    .option('--micro-batches-max <m>', 'm from 1 to this', wholeNumber(1, 8), 8)
    .option('--accelerators-max <count>', 'of a whole instance', wholeNumber(1, 100_000), 1024)
    .option(
      '--weight-bits <bits>',
      'of each weight: 16, 8, 4 (default: 16; deepseek-v3: 8)',
      bits(['16', '8', '4']),
    )
    .option('--kv-bits <bits>', 'of each key and value: 16, 8 (default: 16)', bits(['16', '8']))
    .option('--catalogue <file>', 'more accelerators and networks, as JSON; same names replace')
    .option('--profile <file>', 'plan for the machine that megascale profile measured, instead')
    .option('--batch-max <B>', 'sequences at a time, with --profile', wholeNumber(1, 4096), 64)
    .option('--top <count>', 'rows of the table', wholeNumber(1, 1000), 5)
    .option(
      '--chart <file>',
      'draw throughput over time from token to token: .svg, or .html with the table',
    )
    .option('--out <file>', 'write the plan, for serve --plan')
    .option('--json', 'print one JSON document')
    .addHelpText(
      'after',
      `
Prices are in the catalogue's unit (built in: the price of an L20). Known models and accelerators are listed when a name is not known.

Examples:
  megascale plan mixtral-8x22b --attention-gpu H20 --expert-gpu L40S
  megascale plan dbrx --attention-gpu L20,H800,A800,H20,L40S --expert-gpu L20,H800,A800,H20,L40S --top 10
  megascale plan qwen3-30b-a3b --attention-gpu RTX-3080 --expert-gpu RTX-3080 --accelerators-max 50
  megascale profile MODEL --out machine.json && megascale plan MODEL --profile machine.json
  megascale plan MODEL/config.json --slo-tpot-ms 50 --out plan.json && megascale serve MODEL --plan plan.json`,
    )
    .action((model: string, flags: PlanFlags) => {
      if (flags.profile === undefined) {
        plan(model, flags, world);
        return;
      }
      if (flags.chart !== undefined) throw new UsageError('--chart goes without --profile.');
      planHere(flags.profile, { model, ...flags }, world);
    });
}

function plan(model: string, flags: PlanFlags, world: CliWorld): void {
  const catalogue = catalogueOf(flags);
  const request: PlanRequest = {
    shape: modelShapeOf(model, elementBytesOf(flags)),
    attention: acceleratorsOf(catalogue, flags.attentionGpu, flags),
    expert: acceleratorsOf(catalogue, flags.expertGpu, flags),
    traffic: { inputTokens: flags.inputTokens, outputTokens: flags.outputTokens },
    slo: { tpotMs: flags.sloTpotMs, ttftMs: flags.sloTtftMs },
    objective: flags.objective,
    limits: {
      microBatchCounts: Array.from({ length: flags.microBatchesMax }, (_, index) => index + 1),
      acceleratorsMax: flags.acceleratorsMax,
    },
  };
  const context = searchContext(request);
  const result = searchPlans(request);
  const explanation = explainPlan(result, context);
  const { chosen } = result;
  if (chosen === undefined) throw new UsageError(explanation.verdict.reason);
  const prefill =
    flags.sloTtftMs === undefined
      ? undefined
      : searchPrefill(
          [...request.attention, ...request.expert],
          request.traffic,
          flags.sloTtftMs,
          context,
        );
  const file = makePlanFile({
    shape: request.shape,
    traffic: request.traffic,
    slo: request.slo,
    candidate: chosen,
    explanation,
    prefill,
  });
  const ranked = result.ranked.slice(0, flags.top);
  if (flags.out !== undefined) writeTextFile(flags.out, `${JSON.stringify(file, null, 2)}\n`);
  const text = planText({
    file,
    explanation,
    ranked,
    prefill,
    context,
    priceUnit: catalogue.priceUnit,
  });
  if (flags.chart !== undefined) {
    const title = `Deployments of ${request.shape.name}`;
    writeChartFile(flags.chart, { title, svg: planChart(ranked, context, title), text });
  }
  if (flags.json === true) {
    const rows = ranked.map(({ deployment, evaluation, batchBound, score }) => ({
      text: deploymentText(deployment),
      deployment,
      evaluation,
      batchBound,
      score,
    }));
    world.stdout.write(`${JSON.stringify({ plan: file, explanation, ranked: rows })}\n`);
    return;
  }
  world.stdout.write(text);
}

function elementBytesOf({ weightBits, kvBits }: PlanFlags): ElementBytes {
  return {
    ...(weightBits === undefined ? {} : { weight: weightBits / 8 }),
    ...(kvBits === undefined ? {} : { kv: kvBits / 8 }),
  };
}

function catalogueOf({ catalogue }: PlanFlags): Catalogue {
  const known = builtInCatalogue();
  if (catalogue === undefined) return known;
  return mergeCatalogues(known, parseCatalogue(readJsonFile(catalogue), catalogue));
}

function acceleratorsOf(
  catalogue: Catalogue,
  wanted: readonly string[] | undefined,
  { network }: PlanFlags,
): readonly Accelerator[] {
  const found =
    wanted === undefined
      ? catalogue.accelerators
      : wanted.map((name) => findAccelerator(catalogue, name));
  if (network === undefined) return found;
  const between = findNetwork(catalogue, network);
  return found.map((accelerator) => withNetwork(accelerator, between));
}

function names(text: string): readonly string[] {
  const found = [...new Set(text.split(',').map((name) => name.trim()))].filter(
    (name) => name !== '',
  );
  if (found.length === 0 || found.length > 100) {
    throw new InvalidArgumentError('Expected 1 to 100 names, with commas between.');
  }
  return found;
}
