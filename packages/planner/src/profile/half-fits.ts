import { fitNonNegative, residualOf, type FitSample } from './fit-non-negative.js';

/**
 * T_a = fixedUs + tokenUs t + kneeTokenUs max(0, t − kneeTokens) + keyUs k, for t tokens that see k
 * keys. Up to the knee a half waits for memory, past it for the multiply unit. fixedUs and the
 * slope are the paper's k2 and k1. A micro-batch that follows another one in the same layer finds
 * the weights in a cache: repeatedUs takes the place of fixedUs.
 */
export interface AttentionFit {
  readonly fixedUs: number;
  readonly repeatedUs: number;
  readonly tokenUs: number;
  readonly kneeTokens: number;
  readonly kneeTokenUs: number;
  readonly keyUs: number;
}

/**
 * T_e = fixedUs + expertUs d + rowUs r + kneeRowUs max(0, r − kneeRows d), for r rows of d distinct
 * experts. expertUs is what reading an expert's weights takes: with d that follows the batch it is
 * the memory-bound correction of the paper's k3 b + k4.
 */
export interface ExpertFit {
  readonly fixedUs: number;
  readonly expertUs: number;
  readonly rowUs: number;
  readonly kneeRows: number;
  readonly kneeRowUs: number;
}

/**
 * Embedding, LM head and sampling of t tokens: fixedUs + tokenUs t + kneeTokenUs max(0, t −
 * kneeTokens).
 */
export type EdgeFit = Omit<AttentionFit, 'keyUs' | 'repeatedUs'>;

export interface AttentionSample {
  readonly tokens: number;
  readonly keysSeen: number;
  /** Part of the micro-batches behind this time that follow another one in the same layer. */
  readonly repeated: number;
  readonly us: number;
}

export interface ExpertSample {
  readonly rows: number;
  readonly distinctExperts: number;
  readonly us: number;
}

export interface EdgeSample {
  readonly tokens: number;
  readonly us: number;
}

/** @throws RangeError without samples. */
export function fitAttention(samples: readonly AttentionSample[]): AttentionFit {
  const tokens = samples.map((sample) => sample.tokens);
  const { knee, coefficients } = bestKnee(kneesOf(tokens), (at) =>
    samples.map(({ tokens: t, keysSeen, repeated, us }) => ({
      features: [1 - repeated, t, Math.max(0, t - at), keysSeen, repeated],
      us,
    })),
  );
  const [fixedUs = 0, tokenUs = 0, kneeTokenUs = 0, keyUs = 0, again = 0] = coefficients;
  // Where no micro-batch was seen to follow another, nothing is known to be cached.
  const repeatedUs = samples.some(({ repeated }) => repeated > 0) ? again : fixedUs;
  return { fixedUs, repeatedUs, tokenUs, kneeTokens: knee, kneeTokenUs, keyUs };
}

/** @throws RangeError without samples. */
export function fitExperts(samples: readonly ExpertSample[]): ExpertFit {
  const ratios = samples.map(({ rows, distinctExperts }) => rows / Math.max(1, distinctExperts));
  const { knee, coefficients } = bestKnee(kneesOf(ratios), (at) =>
    samples.map(({ rows, distinctExperts: d, us }) => ({
      features: [1, d, rows, Math.max(0, rows - at * d)],
      us,
    })),
  );
  const [fixedUs = 0, expertUs = 0, rowUs = 0, kneeRowUs = 0] = coefficients;
  return { fixedUs, expertUs, rowUs, kneeRows: knee, kneeRowUs };
}

/** @throws RangeError without samples. */
export function fitEdge(samples: readonly EdgeSample[]): EdgeFit {
  const tokens = samples.map((sample) => sample.tokens);
  const { knee, coefficients } = bestKnee(kneesOf(tokens), (at) =>
    samples.map(({ tokens: t, us }) => ({ features: [1, t, Math.max(0, t - at)], us })),
  );
  const [fixedUs = 0, tokenUs = 0, kneeTokenUs = 0] = coefficients;
  return { fixedUs, tokenUs, kneeTokens: knee, kneeTokenUs };
}

export function attentionFitUs(
  fit: AttentionFit,
  {
    tokens,
    keysSeen,
    repeated = 0,
  }: Omit<AttentionSample, 'us' | 'repeated'> & { repeated?: number },
): number {
  if (tokens <= 0) return 0;
  const cached = repeated * (fit.repeatedUs - fit.fixedUs);
  return edgeFitUs(fit, tokens) + cached + fit.keyUs * keysSeen;
}

export function expertFitUs(fit: ExpertFit, rows: number, distinctExperts: number): number {
  if (rows <= 0) return 0;
  const past = Math.max(0, rows - fit.kneeRows * distinctExperts);
  return fit.fixedUs + fit.expertUs * distinctExperts + fit.rowUs * rows + fit.kneeRowUs * past;
}

export function edgeFitUs(fit: EdgeFit, tokens: number): number {
  if (tokens <= 0) return 0;
  return (
    fit.fixedUs + fit.tokenUs * tokens + fit.kneeTokenUs * Math.max(0, tokens - fit.kneeTokens)
  );
}

const kneesMax = 24;

/** Where a line may bend: at amounts that were measured, but for the least and the greatest. */
function kneesOf(amounts: readonly number[]): number[] {
  const distinct = [...new Set(amounts)].sort((a, b) => a - b).slice(1, -1);
  const every = Math.max(1, Math.ceil(distinct.length / kneesMax));
  return [0, ...distinct.filter((_, index) => index % every === 0)];
}

/** The knee with the least sum of absolute relative residuals. Knee 0 is a straight line. */
function bestKnee(
  knees: readonly number[],
  samplesAt: (knee: number) => FitSample[],
): { readonly knee: number; readonly coefficients: readonly number[] } {
  let best: { knee: number; coefficients: number[]; off: number } | undefined;
  for (const knee of knees) {
    const samples = samplesAt(knee);
    const coefficients = fitNonNegative(samples);
    const off = samples.reduce((sum, one) => sum + Math.abs(residualOf(one, coefficients)), 0);
    if (best === undefined || off < best.off * (1 - 1e-9)) best = { knee, coefficients, off };
  }
  return best ?? { knee: 0, coefficients: [] };
}
