export interface BatcherCounts {
  readonly waiting: number;
  readonly running: number;
  readonly kvPagesTotal: number;
  /** Without a holder: pages that still keep a prefix included. */
  readonly kvPagesFree: number;
  /** Pages whose contents a starting sequence may take over, held or not. */
  readonly kvPagesCached: number;
  readonly preemptionsTotal: number;
  /** Completed steps. */
  readonly stepsTotal: number;
  /** Of sequences that emitted a token: each prompt once, however often it was computed. */
  readonly promptTokensTotal: number;
  /** Of those, found in pages that others had computed. */
  readonly cachedPromptTokensTotal: number;
  /** Tokens that steps computed: of prompts, of output, and again after a preemption. */
  readonly computedTokensTotal: number;
  readonly outputTokensTotal: number;
  /** Still to compute if every sequence runs to its maxTokens: the load that admission compares. */
  readonly outstandingTokens: number;
}
