import { ConfigError } from '@megascale/core';
import { z } from 'zod';

const amount = z.number().nonnegative();
const count = z.int().positive().max(65_536);
const text = z.string().max(1024);

const edgeFit = z.object({
  fixedUs: amount,
  tokenUs: amount,
  kneeTokens: amount,
  kneeTokenUs: amount,
});
const attentionFit = edgeFit.extend({ keyUs: amount, repeatedUs: amount });
const expertFit = z.object({
  fixedUs: amount,
  expertUs: amount,
  rowUs: amount,
  kneeRows: amount,
  kneeRowUs: amount,
});

/** What one worker takes when so many of its pool compute at once, each with so many threads. */
const poolProfile = z.object({
  threads: count,
  workersAtOnce: count,
  attention: attentionFit,
  expert: expertFit,
  edge: edgeFit,
  /** Planning, batching, messages: of a step, besides what is in no half and no edge. */
  stepOverheadUs: amount,
  /** The same, for each token of the step. */
  stepTokenUs: amount,
});

/**
 * What it takes besides to hand a layer over to the experts and back, where the pools are processes
 * of their own.
 */
const handover = z.object({
  attentionWorkers: count,
  expertWorkers: count,
  layerUs: amount,
  microBatchUs: amount,
  /** Of the tokens of all attention workers. */
  tokenUs: amount,
});

const transport = z.object({
  name: text,
  alphaUs: amount,
  bytesPerUs: z.number().positive(),
  points: z
    .array(
      z.object({
        bytes: z.number().positive(),
        latencyUs: z.number().positive(),
        utilization: amount,
      }),
    )
    .max(64),
});

export const profileSchema = z.object({
  version: z.literal(1),
  /** When it was taken, as the one who took it says. */
  takenAt: text,
  machine: z.object({
    cpu: text,
    cores: count,
    memoryBytes: amount,
    platform: text,
    /** Of Node.js and of the packages. */
    versions: z.record(z.string().max(64), z.string().max(64)),
  }),
  backend: text,
  isa: text,
  model: z.object({
    name: text,
    layerCount: count,
    hiddenSize: count,
    expertCount: count,
    topK: count,
    expertWidth: count,
    vocabSize: z.int().positive(),
  }),
  bounds: z.object({
    readBytesPerSecond: z.number().positive(),
    multiplyFlopsPerSecond: z.number().positive(),
    instructionFlopsPerSecond: z.number().positive(),
    forkJoinUs: amount,
  }),
  pools: z.array(poolProfile).min(1).max(64),
  handovers: z.array(handover).max(64),
  /** As many experts that are chosen equally often would give as many distinct ones. */
  effectiveExperts: z.number().positive(),
  transports: z.array(transport).max(16),
});

/**
 * A machine and a model, measured: what `megascale profile` writes. Times are microseconds at the
 * pace that the machine had when the profile was taken.
 */
export type MachineProfile = Readonly<z.output<typeof profileSchema>>;
export type PoolProfile = MachineProfile['pools'][number];
export type HandoverProfile = MachineProfile['handovers'][number];

/** Files that are larger are not read. */
const bytesMax = 1 << 20;

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming the field of the file that is wrong. */
export function parseMachineProfile(json: string): MachineProfile {
  if (json.length > bytesMax)
    throw wrong('', `it has ${json.length} characters, at most are ${bytesMax}`);
  let document: unknown;
  try {
    document = JSON.parse(json);
  } catch (error) {
    throw wrong('', `it is no JSON: ${(error as Error).message}`);
  }
  const result = profileSchema.safeParse(document);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw wrong(issue?.path.join('.') ?? '', issue?.message ?? 'it is invalid');
}

function wrong(path: string, reason: string): ConfigError {
  const where =
    path === '' ? 'The profile cannot be read' : `Field ${path} of the profile is wrong`;
  return new ConfigError('ERR_CONFIG_FIELD', {
    message: `${where}: ${reason}. Take a new one with: megascale profile MODEL --out FILE.`,
    details: { path },
  });
}
