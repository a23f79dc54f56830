#include "combine/partial_sums.hpp"

#include <algorithm>
#include <bit>
#include <cstddef>

namespace megascale::m2n {
namespace {

// Columns summed at a time: in registers and the nearest cache, whatever the row.
constexpr std::int64_t kColumns = 256;

float ToFloat(float value) { return value; }
float ToFloat(std::uint16_t bf16) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(bf16) << 16);
}

void Store(float value, float* out) { *out = value; }
// Rounds to nearest, ties to even; NaN stays NaN.
void Store(float value, std::uint16_t* out) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const bool is_nan = (bits & 0x7fffffffu) > 0x7f800000u;
  const std::uint32_t rounded = is_nan ? bits | 0x400000u : bits + 0x7fffu + ((bits >> 16) & 1u);
  *out = static_cast<std::uint16_t>(rounded >> 16);
}

// Products and sums are two roundings (no contraction), so that every instruction set and the
// TypeScript form give the same bits.
template <typename T>
void SumToken(const PartialSums& sums, std::int64_t token, T* rows) {
  const float* weights = sums.weights + token * sums.top_k;
  const std::int32_t* ranks = sums.expert_ranks + token * sums.top_k;
  const auto own = [&](std::int64_t k) { return ranks[k] == sums.rank; };
  std::int64_t first = 0;
  while (first < sums.top_k && !own(first)) ++first;
  if (first == sums.top_k) return;
  T* out = rows + first * sums.hidden_size;
  float sum[kColumns];
  for (std::int64_t begin = 0; begin < sums.hidden_size; begin += kColumns) {
    const std::int64_t count = std::min(kColumns, sums.hidden_size - begin);
    for (std::int64_t i = 0; i < count; ++i) sum[i] = weights[first] * ToFloat(out[begin + i]);
    for (std::int64_t k = first + 1; k < sums.top_k; ++k) {
      if (!own(k)) continue;
      const T* row = rows + k * sums.hidden_size + begin;
      for (std::int64_t i = 0; i < count; ++i) sum[i] += weights[k] * ToFloat(row[i]);
    }
    for (std::int64_t i = 0; i < count; ++i) Store(sum[i], out + begin + i);
  }
}

template <typename T>
void SumAll(const PartialSums& sums, T* answers) {
  for (std::int64_t token = 0; token < sums.tokens; ++token) {
    SumToken(sums, token, answers + token * sums.top_k * sums.hidden_size);
  }
}

}  // namespace

void SumPartialRows(const PartialSums& sums, float* answers) { SumAll(sums, answers); }
void SumPartialRows(const PartialSums& sums, std::uint16_t* answers) { SumAll(sums, answers); }

}  // namespace megascale::m2n
