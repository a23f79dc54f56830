import {
  machinePlanFile,
  parseMachineProfile,
  planOnMachine,
  requireSameModel,
  type MachinePlan,
  type MachinePlanRequest,
} from '@megascale/planner';
import type { CliWorld } from '../../world.js';
import { modelShapeOf } from './model-shape-argument.js';
import { readTextFile } from '../../output/read-json-file.js';
import { UsageError } from '../../output/usage-error.js';
import { writeTextFile } from '../../output/write-files.js';

export interface PlanHereFlags {
  readonly model: string;
  readonly sloTpotMs: number;
  readonly inputTokens: number;
  readonly outputTokens: number;
  readonly microBatchesMax: number;
  readonly batchMax: number;
  readonly top: number;
  readonly out?: string;
  readonly json?: boolean;
}

/** `megascale plan MODEL --profile FILE`: what the machine of the profile should run. */
export function planHere(profileFile: string, flags: PlanHereFlags, world: CliWorld): void {
  const profile = parseMachineProfile(readTextFile(profileFile));
  const shape = modelShapeOf(flags.model, { weight: 2, kv: 2 });
  requireSameModel(profile, shape, 'profile');
  const request: MachinePlanRequest = {
    profile,
    traffic: { inputTokens: flags.inputTokens, outputTokens: flags.outputTokens },
    slo: { tpotMs: flags.sloTpotMs },
    batchMax: flags.batchMax,
    microBatchesMax: flags.microBatchesMax,
  };
  const found = planOnMachine(request);
  const plan = machinePlanFile(found, request);
  if (plan === undefined) throw new UsageError(found.reason);
  if (flags.out !== undefined) writeTextFile(flags.out, `${JSON.stringify(plan, null, 2)}\n`);
  const ranked = found.ranked.slice(0, flags.top);
  world.stdout.write(
    flags.json === true
      ? `${JSON.stringify({ plan, answer: found.answer, reason: found.reason, ranked })}\n`
      : textOf({ ...found, ranked }, request),
  );
}

function textOf({ ranked, reason }: MachinePlan, { profile, slo }: MachinePlanRequest): string {
  const rows = ranked.map(({ deployment, batch, prediction }) => {
    const { colocated, attentionWorkers, expertWorkers, microBatches } = deployment;
    const name = colocated
      ? 'colocated'
      : `${attentionWorkers} × ${expertWorkers}, m = ${microBatches}`;
    const { tpotUs, tokensPerSecond, attentionUs, expertUs } = prediction;
    const numbers = [batch, tpotUs / 1000, tokensPerSecond, attentionUs, expertUs];
    return [
      name.padEnd(16),
      ...numbers.map((value, column) => value.toFixed(column === 1 ? 2 : 0).padStart(9)),
    ].join(' ');
  });
  const head = ['batch', 'ms', 'tokens/s', 'T_a (µs)', 'T_e (µs)'];
  return [
    `Plan for ${profile.model.name} on ${profile.machine.cpu}, ${profile.machine.cores} cores, ${slo.tpotMs} ms from token to token`,
    '',
    reason,
    '',
    ['deployment'.padEnd(16), ...head.map((title) => title.padStart(9))].join(' '),
    ...rows,
    '',
  ].join('\n');
}
