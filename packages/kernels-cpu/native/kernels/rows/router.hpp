#pragma once

#include "kernels/dispatch/kernel_table.hpp"
#include "kernels/rows/exponential.hpp"
#include "kernels/rows/rows.hpp"

// router: scores [experts] from logits in f32 (softmax over all, or sigmoid of each), then the
// top_k best in falling order, ties to the lower id; weights are the chosen scores, divided by
// their sum if asked, times scale.
namespace megascale {

template <class V>
void ScoreExperts(float* logits, std::size_t experts, RouterScore score) {
  if (score == RouterScore::kSigmoid) {
    for (std::size_t i = 0; i < experts; i += 16) {
      const std::size_t count = LanesLeft(i, experts);
      V::StorePartial(logits + i, Sigmoid<V>(V::LoadPartial(logits + i, count)), count);
    }
    return;
  }
  float largest = logits[0];
  for (std::size_t i = 1; i < experts; ++i) largest = logits[i] > largest ? logits[i] : largest;
  typename V::F totals = V::Zero();
  for (std::size_t i = 0; i < experts; i += 16) {
    const std::size_t count = LanesLeft(i, experts);
    const auto shifted = V::Subtract(V::LoadPartial(logits + i, count), V::Broadcast(largest));
    const auto power = V::Keep(Exponential<V>(shifted), 0, static_cast<int>(count), 0.0f);
    V::StorePartial(logits + i, power, count);
    totals = V::Add(totals, power);
  }
  const auto total = V::Broadcast(V::Sum(totals));
  for (std::size_t i = 0; i < experts; i += 16) {
    const std::size_t count = LanesLeft(i, experts);
    V::StorePartial(logits + i, V::Divide(V::LoadPartial(logits + i, count), total), count);
  }
}

template <class V>
void Router(const RouterParams& p) {
  for (std::size_t row = 0; row < p.rows; ++row) {
    float* scores = p.logits + row * p.stride;
    std::int32_t* ids = p.expert_ids + row * p.top_k;
    float* weights = p.weights + row * p.top_k;
    ScoreExperts<V>(scores, p.experts, p.score);
    float sum = 0.0f;
    for (std::size_t k = 0; k < p.top_k; ++k) {
      std::size_t best = p.experts;
      for (std::size_t e = 0; e < p.experts; ++e) {
        // A taken expert is marked with −1: scores are never negative. A NaN score is never chosen
        // while others are left.
        if (scores[e] >= 0.0f && (best == p.experts || scores[e] > scores[best])) best = e;
      }
      const bool found = best < p.experts;
      ids[k] = found ? static_cast<std::int32_t>(best) : -1;
      weights[k] = found ? scores[best] : 0.0f;
      if (found) scores[best] = -1.0f;
      sum += weights[k];
    }
    for (std::size_t k = 0; k < p.top_k; ++k) {
      const float weight = p.renormalize && sum > 0.0f ? weights[k] / sum : weights[k];
      weights[k] = weight * p.scale;
    }
  }
}

}  // namespace megascale
