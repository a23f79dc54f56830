#pragma once

#include "kernels/exponential.hpp"
#include "kernels/kernel_table.hpp"

// attend: out[h] = Σⱼ softmaxⱼ(scale · q[h]·k[j]) · v[j] over positions j in [first_position,
// position], for the heads h of one group.
//   keys and values bf16 in blocks of 16 absolute positions (KvLayout); everything else f32
// Online softmax, one block after the other in ascending order; inside a block a score is two
// chains over even and odd dimensions, a sum is one chain over ascending positions. The order
// depends on the token's position and window alone, so it is the same in any batch, chunk or page
// order. Bound by reading the cache: a block is read once for the whole group while it is in the
// first-level cache.
namespace megascale {

// scores[h][0…15] = q[h] · keys, for Heads heads.
template <class V, int Heads>
void ScoreBlock(const float* q, const bf16* keys, std::size_t head_size, float* scores) {
  using F = typename V::F;
  F even[Heads], odd[Heads];
  for (int h = 0; h < Heads; ++h) even[h] = odd[h] = V::Zero();
  for (std::size_t d = 0; d < head_size; d += 2) {
    const F first = V::LoadBf16(keys + d * 16), second = V::LoadBf16(keys + d * 16 + 16);
#pragma GCC unroll 8
    for (int h = 0; h < Heads; ++h) {
      even[h] = V::MultiplyAdd(V::Broadcast(q[h * head_size + d]), first, even[h]);
      odd[h] = V::MultiplyAdd(V::Broadcast(q[h * head_size + d + 1]), second, odd[h]);
    }
  }
#pragma GCC unroll 8
  for (int h = 0; h < Heads; ++h) V::Store(scores + h * 16, V::Add(even[h], odd[h]));
}

// sums[h] = sums[h] · factors[h] + Σ over positions in [begin, end) of powers[h][j] · values[j].
template <class V, int Heads>
void SumBlock(const float* powers, const float* factors, const bf16* values, std::size_t stride,
              int begin, int end, float* sums) {
  using F = typename V::F;
  for (std::size_t d = 0; d < stride; d += 16) {
    F sum[Heads];
#pragma GCC unroll 8
    for (int h = 0; h < Heads; ++h) {
      sum[h] = V::Multiply(V::Load(sums + h * stride + d), V::Broadcast(factors[h]));
    }
    for (int j = begin; j < end; ++j) {
      const F value = V::LoadBf16(values + static_cast<std::size_t>(j) * stride + d);
#pragma GCC unroll 8
      for (int h = 0; h < Heads; ++h) {
        sum[h] = V::MultiplyAdd(V::Broadcast(powers[h * 16 + j]), value, sum[h]);
      }
    }
#pragma GCC unroll 8
    for (int h = 0; h < Heads; ++h) V::Store(sums + h * stride + d, sum[h]);
  }
}

// Calls visit.template operator()<Heads>(first head) over the group in register blocks.
template <int Heads, class Visit>
void ForHeads(std::size_t begin, std::size_t group, const Visit& visit) {
  for (; begin + Heads <= group; begin += Heads) visit.template operator()<Heads>(begin);
  if constexpr (Heads > 1) ForHeads<Heads / 2>(begin, group, visit);
}

template <class V>
struct AttentionState {
  float *q, *sums, *scores, *maxima, *totals, *factors;

  AttentionState(const AttentionParams& a, std::size_t stride) {
    q = a.scratch;
    sums = q + a.group * a.layout.head_size;
    scores = sums + a.group * stride;
    maxima = scores + a.group * 16;
    totals = maxima + a.group;
    factors = totals + a.group;
    for (std::size_t i = 0; i < a.group * a.layout.head_size; ++i) q[i] = Bf16ToFloat(a.q[i]);
    for (std::size_t i = 0; i < a.group * stride; ++i) sums[i] = 0.0f;
    for (std::size_t h = 0; h < a.group; ++h) {
      maxima[h] = -3.0e38f;
      totals[h] = 0.0f;
    }
  }

  // Turns the block's scores of head h into powers of e, and says by which factor earlier sums
  // shrink.
  void Soften(std::size_t h, float scale, int begin, int end) {
    float* row = scores + h * 16;
    const auto scaled = V::Multiply(V::Load(row), V::Broadcast(scale));
    const float block_largest = V::Largest(V::Keep(scaled, begin, end, -3.0e38f));
    const float largest = block_largest > maxima[h] ? block_largest : maxima[h];
    const auto powers = Exponential<V>(V::Subtract(scaled, V::Broadcast(largest)));
    const auto kept = V::Keep(powers, begin, end, 0.0f);
    V::Store(row, kept);
    float lanes[16];
    V::Store(lanes, Exponential<V>(V::Broadcast(maxima[h] - largest)));
    factors[h] = lanes[0];
    totals[h] = totals[h] * factors[h] + V::Sum(kept);
    maxima[h] = largest;
  }
};

template <class V>
void Attend(const AttentionParams& a) {
  const std::size_t head_size = a.layout.head_size, stride = a.layout.head_size_padded;
  AttentionState<V> state(a, stride);
  for (std::size_t block = a.first_position / 16; block <= a.position / 16; ++block) {
    const std::size_t start = block * 16;
    const auto page = static_cast<std::size_t>(a.pages[start / a.layout.page_size]);
    const std::size_t block_in_page = start % a.layout.page_size / 16;
    const bf16* keys = a.cache + page * a.layout.page_elements +
                       (block_in_page * a.layout.kv_heads + a.kv_head) * a.layout.block_elements;
    const bf16* values = keys + a.layout.key_elements;
    const int begin = a.first_position > start ? static_cast<int>(a.first_position - start) : 0;
    const int end = a.position - start < 15 ? static_cast<int>(a.position - start) + 1 : 16;
    ForHeads<V::kHeads>(0, a.group, [&]<int Heads>(std::size_t h) {
      ScoreBlock<V, Heads>(state.q + h * head_size, keys, head_size, state.scores + h * 16);
    });
    for (std::size_t h = 0; h < a.group; ++h) state.Soften(h, a.scale, begin, end);
    ForHeads<V::kHeads>(0, a.group, [&]<int Heads>(std::size_t h) {
      SumBlock<V, Heads>(state.scores + h * 16, state.factors + h, values, stride, begin, end,
                         state.sums + h * stride);
    });
  }
  for (std::size_t h = 0; h < a.group; ++h) {
    const auto inverse = V::Broadcast(1.0f / state.totals[h]);
    for (std::size_t d = 0; d < head_size; d += 16) {
      const std::size_t count = head_size - d < 16 ? head_size - d : 16;
      const auto sum = V::Load(state.sums + h * stride + d);
      V::StoreBf16Partial(a.out + h * head_size + d, V::Multiply(sum, inverse), count);
    }
  }
}

}  // namespace megascale
