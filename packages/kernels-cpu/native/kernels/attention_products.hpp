#pragma once

#include "kernels/kernel_table.hpp"

// The two products of attention over one tile, in blocks of registers. Every sum is one chain, over
// ascending dimensions or positions, whatever the block.
namespace megascale {

constexpr std::size_t kTileBlocks = 4, kTilePositions = kTileBlocks * kKvBlock;
constexpr std::size_t kRangeTiles = kAttentionRange / kTilePositions;

// Keys or values of up to 64 positions, and what will be read next from where.
struct KvTile {
  const bf16* blocks[kTileBlocks];
  const char* ahead[kTileBlocks];  // as many bytes as a block has
  std::size_t begin, end;          // positions that are seen, counted from the tile's first
};

// Calls visit.template operator()<count>(first) over [begin, end) in pieces of at most `Most`.
template <int Most, class Visit>
inline void ForPieces(std::size_t begin, std::size_t end, const Visit& visit) {
  for (; begin + Most <= end; begin += Most) visit.template operator()<Most>(begin);
  if constexpr (Most > 1) ForPieces<Most - 1>(begin, end, visit);
}

// scores[r][c · 16 …] = q[r] · keys of block c, for R rows and C blocks.
template <class A, int R, int C>
void ScoreBlocks(const typename A::Element* q, std::size_t head_size, const KvTile& tile,
                 std::size_t block, bool fetch, float* scores) {
  using V = typename A::V;
  typename V::F sum[R][C];
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) sum[r][c] = V::Zero();
  }
  const bf16* const* keys = tile.blocks + block;
  const char* const* ahead = tile.ahead + block;
  for (std::size_t d = 0; d < head_size; d += 2) {
    typename A::Pairs key[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) key[c] = A::Load(keys[c] + d * kKvBlock);
    if (fetch) {
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) V::Prefetch(ahead[c] + d * (kKvBlock * sizeof(bf16)));
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const auto factor = A::Broadcast(q + static_cast<std::size_t>(r) * head_size + d);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) sum[r][c] = A::MultiplyAdd(factor, key[c], sum[r][c]);
    }
  }
  for (int r = 0; r < R; ++r) {
    for (int c = 0; c < C; ++c) {
      V::Store(scores + static_cast<std::size_t>(r) * kAttentionRange +
                   (block + static_cast<std::size_t>(c)) * kKvBlock,
               sum[r][c]);
    }
  }
}

// What the value products of one tile have in common. `stride` is head_size_padded.
template <class A>
struct ValueProduct {
  // Elements from the powers of one row to those of the next: they lie where the scores lay.
  static constexpr std::size_t kPowerStride =
      kAttentionRange * sizeof(float) / sizeof(typename A::Element);

  const KvTile& tile;
  std::size_t stride;
  bool fetch;

  // sums[r][d] += Σ over the positions seen of powers[r][j] · values[j][d], for R rows and 16 · C
  // columns.
  template <int R, int C>
  void Add(const typename A::Element* powers, std::size_t column, float* sums) const {
    using V = typename A::V;
    typename V::F sum[R][C];
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) sum[r][c] = V::Load(At<C>(sums, r, c, column));
    }
    const auto add = [&](std::size_t pair, const bf16* values, const auto& load) {
      typename A::Pairs value[C];
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) value[c] = load(values + c * 32);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const auto factor =
            A::Broadcast(powers + static_cast<std::size_t>(r) * kPowerStride + 2 * pair);
#pragma GCC unroll 8
        for (int c = 0; c < C; ++c) sum[r][c] = A::MultiplyAdd(factor, value[c], sum[r][c]);
      }
    };
    for (std::size_t at = tile.begin; at < tile.end;) {
      const std::size_t block = at / kKvBlock, start = block * kKvBlock;
      const std::size_t end = tile.end < start + kKvBlock ? tile.end : start + kKvBlock;
      const bf16* values = tile.blocks[block] + 2 * column;
      const char* ahead = tile.ahead[block] + 2 * column * sizeof(bf16);
      const std::size_t row = 2 * stride;
      if (at % 2 != 0) add(at / 2, values + (at - start) / 2 * row, A::LoadSecond), ++at;
      for (; at + 2 <= end; at += 2) {
        const std::size_t offset = (at - start) / 2 * row;
        if (fetch) {
#pragma GCC unroll 8
          for (int c = 0; c < C; ++c) V::Prefetch(ahead + (offset + c * 32) * sizeof(bf16));
        }
        add(at / 2, values + offset, A::Load);
      }
      if (at < end) add(at / 2, values + (at - start) / 2 * row, A::LoadFirst), ++at;
    }
    for (int r = 0; r < R; ++r) {
      for (int c = 0; c < C; ++c) V::Store(At<C>(sums, r, c, column), sum[r][c]);
    }
  }

 private:
  template <int C>
  float* At(float* sums, int r, int c, std::size_t column) const {
    return sums + static_cast<std::size_t>(r) * stride + column + static_cast<std::size_t>(c) * 16;
  }
};

}  // namespace megascale
