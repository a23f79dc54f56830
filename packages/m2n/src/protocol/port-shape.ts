import {
  bytesPerElement,
  ConfigError,
  placementEpochMax,
  type DType,
  type Placement,
  type PlacementEpoch,
  type TransportOptions,
} from '@megascale/core';
import * as limits from './wire-format.js';

/** The numbers every port of one deployment must agree on; they fix the layout of all segments. */
export interface PortShape {
  readonly attentionWorkerCount: number;
  readonly expertWorkerCount: number;
  readonly layerCount: number;
  readonly hiddenSize: number;
  readonly topK: number;
  readonly elementBytes: number;
  readonly dtype: DType;
  readonly tokensPerSlotMax: number;
  readonly slotCount: number;
  readonly expertCount: number;
  /** Of the expert placement at opening, and its epoch. */
  readonly placementHash: number;
  /** Who sums a token's answers. */
  readonly combine: 'attention' | 'expert';
}

/** @throws ConfigError 'ERR_CONFIG_FIELD' naming the option that is out of its limits. */
export function portShape(options: TransportOptions): PortShape {
  check('attentionWorkerCount', options.attentionWorkerCount, 1, limits.workersMax);
  check('expertWorkerCount', options.expertWorkerCount, 1, limits.workersMax);
  check('layerCount', options.layerCount, 1, limits.layersMax);
  check('hiddenSize', options.hiddenSize, 1, limits.hiddenSizeMax);
  check('topK', options.topK, 1, limits.topKMax);
  check('tokensPerSlotMax', options.tokensPerSlotMax, 1, limits.tokensMax);
  check('slotCount', options.slotCount, 1, limits.slotsMax);
  const expertCount = options.placement[0]?.length ?? 0;
  checkLayers(options.placement, options.layerCount);
  check('placement[0].length', expertCount, 1, limits.expertsMax);
  checkRanks(options.placement, { ...options, expertCount });
  check('placementEpoch', options.placementEpoch ?? 0, 0, placementEpochMax);
  checkCombine(options);
  return {
    attentionWorkerCount: options.attentionWorkerCount,
    expertWorkerCount: options.expertWorkerCount,
    layerCount: options.layerCount,
    hiddenSize: options.hiddenSize,
    topK: options.topK,
    elementBytes: bytesPerElement[options.dtype],
    dtype: options.dtype,
    tokensPerSlotMax: options.tokensPerSlotMax,
    slotCount: options.slotCount,
    expertCount,
    placementHash: hash(JSON.stringify([options.placementEpoch ?? 0, options.placement])),
    combine: options.combine ?? 'attention',
  };
}

/**
 * @throws ConfigError 'ERR_CONFIG_FIELD' for a placement of other layers, experts or ranks than the
 * port was opened with.
 */
export function checkPlacement({ epoch, placement }: PlacementEpoch, shape: PortShape): void {
  check('placementEpoch', epoch, 0, placementEpochMax);
  checkLayers(placement, shape.layerCount);
  checkRanks(placement, shape);
}

/** One for all layers, or one for each. */
function checkLayers(placement: Placement, layerCount: number): void {
  if (placement.length !== 1) check('placement.length', placement.length, layerCount, layerCount);
}

function checkRanks(
  placement: Placement,
  { expertCount, expertWorkerCount }: Pick<PortShape, 'expertCount' | 'expertWorkerCount'>,
): void {
  for (const [layer, experts] of placement.entries()) {
    const path = `placement[${layer}]`;
    check(`${path}.length`, experts.length, expertCount, expertCount);
    for (const [id, ranks] of experts.entries()) {
      check(`${path}[${id}].length`, ranks.length, 1, limits.workersMax);
      for (const rank of ranks) check(`${path}[${id}]`, rank, 0, expertWorkerCount - 1);
    }
  }
}

/** 32 bits that differ where shapes differ: a check against mistakes, not against attacks. */
export function shapeHash(shape: PortShape): number {
  return hash(JSON.stringify(shape));
}

/** FNV-1a over UTF-16 code units. */
function hash(text: string): number {
  let value = 0x811c9dc5 | 0;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0x01000193);
  }
  return value;
}

function checkCombine({ combine = 'attention', dtype }: TransportOptions): void {
  if (combine === 'attention' || dtype === 'f32' || dtype === 'bf16') return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `TransportOptions.combine is 'expert', which sums rows of f32 or bf16, not of ${dtype}. Leave it out.`,
    details: { field: 'combine', dtype },
  });
}

function check(field: string, value: number, min: number, max: number): void {
  if (Number.isInteger(value) && value >= min && value <= max) return;
  throw new ConfigError('ERR_CONFIG_FIELD', {
    message: `TransportOptions.${field} is ${value}; it must be an integer from ${min} to ${max}.`,
    details: { field, value, min, max },
  });
}
