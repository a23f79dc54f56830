#pragma once

#include "kernels/dispatch/kernel_table.hpp"

// The two products of attention over one tile, in blocks of registers. Every sum is one chain, over
// ascending dimensions or positions, whatever the block.
namespace megascale {

constexpr std::size_t kTileBlocks = 4, kTilePositions = kTileBlocks * kKvBlock;
constexpr std::size_t kRangeTiles = kAttentionRange / kTilePositions;

// Keys or values of up to 64 positions, and what is to be fetched while they are used: of every
// block as many elements from `ahead`, of `element_bytes` each.
struct KvTile {
  const bf16* blocks[kTileBlocks];
  const char* ahead[kTileBlocks];
  std::size_t element_bytes;
  std::size_t begin, end;  // positions that are seen, counted from the tile's first
};

// Calls visit.template operator()<count>(first) over [begin, end) in pieces of at most `Most`.
template <int Most, class Visit>
inline void ForPieces(std::size_t begin, std::size_t end, const Visit& visit) {
  for (; begin + Most <= end; begin += Most) visit.template operator()<Most>(begin);
  if constexpr (Most > 1) ForPieces<Most - 1>(begin, end, visit);
}

// scores[r][c · 16 …] = q[r] · keys of block c, for R rows and C blocks from `block` on. Queries
// are [head_size / 2][query_stride] pairs, of which the rows come first.
template <class A, int R, int C>
void ScoreBlocks(const typename A::Element* q, std::size_t query_stride, std::size_t head_size,
                 const KvTile& tile, std::size_t block, bool fetch, float* scores) {
  using V = typename A::V;
  typename V::F sum[R][C];
  const bf16* keys[C];
  const char* ahead[C];
#pragma GCC unroll 8
  for (int c = 0; c < C; ++c) {
    keys[c] = tile.blocks[block + static_cast<std::size_t>(c)];
    ahead[c] = tile.ahead[block + static_cast<std::size_t>(c)];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[r][c] = V::Zero();
  }
  const std::size_t row_bytes = 2 * kKvBlock * tile.element_bytes;
  for (std::size_t d = 0, fetched = 0; d < head_size; d += 2, fetched += row_bytes) {
    typename A::Pairs key[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) key[c] = A::Load(keys[c] + d * kKvBlock);
    if (fetch) {
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) V::Prefetch(ahead[c] + fetched);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto factor = A::Broadcast(q + 2 * r);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sum[r][c] = A::MultiplyAdd(factor, key[c], sum[r][c]);
    }
    q += 2 * query_stride;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      V::Store(scores + static_cast<std::size_t>(r) * kAttentionRange +
                   (block + static_cast<std::size_t>(c)) * kKvBlock,
               sum[r][c]);
    }
  }
}

// Elements from the powers of one row to those of the next: they lie where the scores lay.
template <class A>
constexpr std::size_t kPowerStride = kAttentionRange * sizeof(float) / sizeof(typename A::Element);

// sums[r][d] += Σ over the positions seen of powers[r][j] · values[j][d], for R rows and the 16 · C
// columns from `column` on. `stride` is head_size_padded.
template <class A, int R, int C>
void SumBlocks(const typename A::Element* powers, const KvTile& tile, std::size_t stride,
               std::size_t column, bool fetch, float* sums) {
  using V = typename A::V;
  typename V::F sum[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      sum[r][c] = V::Load(sums + static_cast<std::size_t>(r) * stride + column + c * 16);
    }
  }
  const auto add = [&](const typename A::Element* power, const bf16* values, const auto& load) {
    typename A::Pairs value[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) value[c] = load(values + c * 32);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto factor = A::Broadcast(power + static_cast<std::size_t>(r) * kPowerStride<A>);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sum[r][c] = A::MultiplyAdd(factor, value[c], sum[r][c]);
    }
  };
  const std::size_t vector_bytes = 32 * tile.element_bytes;
  const std::size_t row_bytes = 2 * stride * tile.element_bytes;
  for (std::size_t block = tile.begin / kKvBlock; block * kKvBlock < tile.end; ++block) {
    const std::size_t start = block * kKvBlock;
    const std::size_t begin = tile.begin > start ? tile.begin - start : 0;
    const std::size_t end = tile.end - start < kKvBlock ? tile.end - start : kKvBlock;
    const bf16* values = tile.blocks[block] + 2 * column + begin / 2 * 2 * stride;
    const char* ahead = tile.ahead[block] + column / 16 * vector_bytes + begin / 2 * row_bytes;
    const typename A::Element *power = powers + start + begin / 2 * 2, *last = powers + start + end;
    if (begin % 2 != 0) {
      add(power, values, [](const bf16* from) { return A::LoadSecond(from); });
      power += 2, values += 2 * stride, ahead += row_bytes;
    }
    for (; power + 1 < last; power += 2, values += 2 * stride, ahead += row_bytes) {
      if (fetch) {
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) {
          V::Prefetch(ahead + static_cast<std::size_t>(c) * vector_bytes);
        }
      }
      add(power, values, [](const bf16* from) { return A::Load(from); });
    }
    if (power < last) add(power, values, [](const bf16* from) { return A::LoadFirst(from); });
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      V::Store(sums + static_cast<std::size_t>(r) * stride + column + c * 16, sum[r][c]);
    }
  }
}

}  // namespace megascale
