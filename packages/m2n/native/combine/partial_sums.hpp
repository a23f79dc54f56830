#pragma once

#include <cstdint>

namespace megascale::m2n {

// The answers of one micro-batch at one expert rank, under `combine: 'expert'`.
struct PartialSums {
  const float* weights;              // [tokens, top_k]
  const std::int32_t* expert_ranks;  // [tokens, top_k] who took each row; may change while we look
  std::int32_t rank = 0;
  std::int64_t tokens = 0;
  std::int64_t top_k = 0;
  std::int64_t hidden_size = 0;
};

// Per token, in place: Σₖ weights[token, k] · answers[token, k] over the k of `rank`, ascending,
// each step rounded to f32 and the sum to the answers' type, at the row of the first of these k.
// The rows of the others are left as they are. answers: [tokens, top_k, hidden_size], f32 or bf16.
void SumPartialRows(const PartialSums& sums, float* answers);
void SumPartialRows(const PartialSums& sums, std::uint16_t* answers);

}  // namespace megascale::m2n
