#pragma once

#include <cstring>

#include "kernels/attention/attention_products.hpp"

// softmax over the positions of one range, and how ranges come together: each leaves (largest
// score, total of powers, sums of values), and these are folded in ascending order of range. Scores
// are taken times log₂ e, so powers are powers of two.
namespace megascale {

constexpr float kNoScore = -3.0e38f;

// 2ˣ for x ≤ 127 within 2 ulp; 2⁰ is 1. Below −126 it stays 2⁻¹²⁶, which no sum notices.
template <class V>
inline typename V::F PowerOfTwo(typename V::F x) {
  using F = typename V::F;
  constexpr float kRoundingShift = 12582912.0f;  // 1.5 · 2²³: adding it leaves no bits behind
  const F shift = V::Broadcast(kRoundingShift);
  const F clamped = V::Min(V::Max(x, V::Broadcast(-126.0f)), V::Broadcast(127.0f));
  const F n = V::Subtract(V::Add(clamped, shift), shift);
  const F r = V::Subtract(clamped, n);  // |r| ≤ ½
  // The polynomial of degree 5 with the least relative error among those that are 1 at 0: 1e-7.
  F sum = V::Broadcast(0.0013264727f);
  sum = V::MultiplyAdd(sum, r, V::Broadcast(0.009671513f));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(0.055507336f));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(0.24022242f));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(0.6931470f));
  sum = V::MultiplyAdd(sum, r, V::Broadcast(1.0f));
  return V::Multiply(sum, V::PowerOfTwo(n));
}

// The scores of one row, and which of its range it sees.
struct ScoreRow {
  float* scores;           // [kAttentionRange]
  std::size_t begin, end;  // positions from the range's first, begin < end
  // 8-bit elements: scales of the range's blocks, else null
  const float* const* key_scales;
  const float* const* value_scales;
};

// Overwrites the scores with powers, as A keeps them, from the first block seen to the last; what
// is not seen becomes 0. Returns the largest score and the total.
template <class A>
inline void Softmax(const ScoreRow& row, float scale, float* largest_score, float* total) {
  using V = typename A::V;
  const std::size_t first = row.begin / kKvBlock, last = (row.end - 1) / kKvBlock;
  const auto keep = [&](std::size_t block, const typename V::F& x, float fill) {
    const std::size_t start = block * kKvBlock;
    const auto begin = static_cast<int>(row.begin > start ? row.begin - start : 0);
    const auto end = static_cast<int>(row.end - start < kKvBlock ? row.end - start : kKvBlock);
    return V::Keep(x, begin, end, fill);
  };
  const auto factor = V::Broadcast(scale);
  auto largest_lanes = V::Broadcast(kNoScore);
  for (std::size_t block = first; block <= last; ++block) {
    float* at = row.scores + block * kKvBlock;
    auto score = V::Multiply(V::Load(at), factor);
    if (row.key_scales != nullptr) score = V::Multiply(score, V::Load(row.key_scales[block]));
    if (block == first || block == last) score = keep(block, score, kNoScore);
    V::Store(at, score);
    largest_lanes = V::Max(score, largest_lanes);
  }
  const float largest = V::Largest(largest_lanes);
  const auto largest_everywhere = V::Broadcast(largest);
  auto total_lanes = V::Zero();
  auto* powers = reinterpret_cast<typename A::Element*>(row.scores);
  for (std::size_t block = first; block <= last; ++block) {
    const auto score = V::Load(row.scores + block * kKvBlock);
    auto power = PowerOfTwo<V>(V::Subtract(score, largest_everywhere));
    const bool edge = block == first || block == last;
    if (edge) power = keep(block, power, 0.0f);
    total_lanes = V::Add(total_lanes, power);
    if (row.value_scales != nullptr) {
      power = V::Multiply(power, V::Load(row.value_scales[block]));
      if (edge) power = keep(block, power, 0.0f);
    }
    A::Store(powers + block * kKvBlock, power);
  }
  *largest_score = largest;
  *total = V::Sum(total_lanes);
}

// The parts of a partial result: [rows] largest scores, [rows] totals, [rows, stride] sums.
template <class V>
struct PartialView {
  float *largest, *totals, *sums;

  PartialView(float* partial, std::size_t rows)
      : largest(partial), totals(partial + rows), sums(partial + 2 * rows) {}
};

// into = into and then next. A row that saw nothing has the total 0.
template <class V>
void FoldPartial(const PartialParams& p) {
  const PartialView<V> into(p.partial, p.rows), next(p.next, p.rows);
  for (std::size_t row = 0; row < p.rows; ++row) {
    if (next.totals[row] == 0.0f) continue;
    if (into.totals[row] == 0.0f) {
      into.largest[row] = next.largest[row];
      into.totals[row] = next.totals[row];
      std::memcpy(into.sums + row * p.stride, next.sums + row * p.stride, p.stride * sizeof(float));
      continue;
    }
    const bool rises = next.largest[row] > into.largest[row];
    const float largest = rises ? next.largest[row] : into.largest[row];
    float lanes[16] = {into.largest[row] - largest, next.largest[row] - largest};
    V::Store(lanes, PowerOfTwo<V>(V::Load(lanes)));
    into.totals[row] = into.totals[row] * lanes[0] + next.totals[row] * lanes[1];
    into.largest[row] = largest;
    const auto old_factor = V::Broadcast(lanes[0]), new_factor = V::Broadcast(lanes[1]);
    for (std::size_t d = row * p.stride; d < (row + 1) * p.stride; d += 16) {
      const auto old = V::Multiply(V::Load(into.sums + d), old_factor);
      V::Store(into.sums + d, V::MultiplyAdd(V::Load(next.sums + d), new_factor, old));
    }
  }
}

// out = sums / total, rounded to bf16.
template <class V>
void FinishPartial(const PartialParams& p) {
  const PartialView<V> partial(p.partial, p.rows);
  for (std::size_t row = 0; row < p.rows; ++row) {
    const auto inverse = V::Broadcast(1.0f / partial.totals[row]);
    bf16* out = p.out + row / p.group * p.out_stride + row % p.group * p.head_size;
    for (std::size_t d = 0; d < p.head_size; d += 16) {
      const std::size_t count = p.head_size - d < 16 ? p.head_size - d : 16;
      const auto sum = V::Load(partial.sums + row * p.stride + d);
      V::StoreBf16Partial(out + d, V::Multiply(sum, inverse), count);
    }
  }
}

}  // namespace megascale
