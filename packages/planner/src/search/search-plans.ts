import type { Accelerator } from '../catalogue/accelerator.js';
import type { Candidate, PlanRequest } from './plan-request.js';
import { attentionOptions, expertOptions } from './pool-options.js';
import { searchContext, type SearchContext } from './search-context.js';
import { searchColocated } from './search-colocated.js';
import { pairBound, searchDisaggregated } from './search-disaggregated.js';

export interface SearchResult {
  /**
   * The best of every pair of accelerators (of those that reach half of the best pair's score) and
   * of every accelerator alone, best first.
   */
  readonly ranked: readonly Candidate[];
  readonly disaggregated: Candidate | undefined;
  readonly colocated: Candidate | undefined;
  /** What is worth deploying; undefined where nothing keeps the SLO in memory that there is. */
  readonly chosen: Candidate | undefined;
}

/** Disaggregation has to gain this much: two pools are more to run than one. */
export const worthwhileGain = 1.05;

/** Searches all pairs of accelerators, and each alone. Pure: the same request, the same result. */
export function searchPlans(request: PlanRequest): SearchResult {
  const context = searchContext(request);
  const colocated = byName([...request.attention, ...request.expert]).map((accelerator) =>
    searchColocated(accelerator, context),
  );
  const disaggregated = searchPairs(request, context);
  const best = (candidates: readonly (Candidate | undefined)[]): Candidate | undefined =>
    inOrder(candidates)[0];
  const bestApart = best(disaggregated);
  const bestTogether = best(colocated);
  const pays =
    bestApart !== undefined && bestApart.score >= (bestTogether?.score ?? 0) * worthwhileGain;
  return {
    ranked: inOrder([...disaggregated, ...colocated]),
    disaggregated: bestApart,
    colocated: bestTogether,
    chosen: pays ? bestApart : (bestTogether ?? bestApart),
  };
}

/** Pairs that cannot reach this share of the best one's score are left out of the table. */
const worthShowing = 0.5;

/** The most promising pairs first, so that the others are cut off soon. */
function searchPairs(request: PlanRequest, context: SearchContext): readonly Candidate[] {
  const experts = request.expert.map((one) => expertOptions(one, context));
  const pairs = request.attention
    .flatMap((accelerator) => {
      const attention = attentionOptions(accelerator, context);
      return experts.map((expert) => {
        return { attention, expert, bound: pairBound(attention, expert, context) };
      });
    })
    .toSorted((a, b) => b.bound - a.bound);
  const found: Candidate[] = [];
  let most = 0;
  for (const { attention, expert, bound } of pairs) {
    if (bound <= most * worthShowing) break;
    const candidate = searchDisaggregated(attention, expert, context, most * worthShowing);
    if (candidate === undefined) continue;
    found.push(candidate);
    most = Math.max(most, candidate.score);
  }
  return found;
}

function inOrder(candidates: readonly (Candidate | undefined)[]): readonly Candidate[] {
  return candidates
    .filter((candidate) => candidate !== undefined)
    .toSorted((a, b) => b.score - a.score);
}

function byName(accelerators: readonly Accelerator[]): readonly Accelerator[] {
  return [...new Map(accelerators.map((one) => [one.name, one])).values()];
}
