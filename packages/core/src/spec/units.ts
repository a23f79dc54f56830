declare const brand: unique symbol;
type Brand<Base, Name extends string> = Base & { readonly [brand]: Name };

/** A worker's place in the attention pool, 0 ≤ rank < M. The two pools never mix. */
export type AttentionRank = Brand<number, 'AttentionRank'>;
/** A worker's place in the expert pool, 0 ≤ rank < N. */
export type ExpertRank = Brand<number, 'ExpertRank'>;
/** An expert's place in the model, 0 ≤ id < expertCount. One expert rank hosts many experts. */
export type ExpertId = Brand<number, 'ExpertId'>;
/** A routed layer, counted from 0. Layers without routed experts belong to the next routed one. */
export type LayerIndex = Brand<number, 'LayerIndex'>;
/** Which of the m micro-batches in flight, 0 ≤ index < microBatchCount. */
export type MicroBatchIndex = Brand<number, 'MicroBatchIndex'>;
/** One sequence of one engine; never reused while the engine lives. */
export type SequenceId = Brand<number, 'SequenceId'>;
/** A page of the KV pool of one attention worker. */
export type KvPageId = Brand<number, 'KvPageId'>;

export const attentionRank = (value: number): AttentionRank => value as AttentionRank;
export const expertRank = (value: number): ExpertRank => value as ExpertRank;
export const expertId = (value: number): ExpertId => value as ExpertId;
export const layerIndex = (value: number): LayerIndex => value as LayerIndex;
export const microBatchIndex = (value: number): MicroBatchIndex => value as MicroBatchIndex;
export const sequenceId = (value: number): SequenceId => value as SequenceId;
export const kvPageId = (value: number): KvPageId => value as KvPageId;
