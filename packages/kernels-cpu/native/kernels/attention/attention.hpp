#pragma once

#include "kernels/attention/attention_arithmetic.hpp"
#include "kernels/attention/attention_products.hpp"
#include "kernels/attention/attention_softmax.hpp"
#include "kernels/attention/kv_append.hpp"

// attend: out[h] = Σⱼ softmaxⱼ(scale · q[h]·k[j]) · v[j] over the positions j that a token sees.
//   keys and values bf16 or 8-bit integers in blocks of 16 positions (KvLayout); queries bf16;
//   scores, totals and sums f32; powers as the variant's products take them
// One call is one range of positions: all scores, then the softmax, then the sums. The order of
// every sum depends on the token's position and window alone, so it is the same in any batch,
// chunk, page order or share of the threads. A tile of 64 positions stays in the first-level cache
// while all rows that see it use it. Decode is bound by reading the pages, and the tile after is
// fetched meanwhile; a prompt is bound by the products.
namespace megascale {

template <class A>
class RangeAttention {
 public:
  explicit RangeAttention(const AttentionParams& params)
      : p_(params),
        layout_(*params.layout),
        start_(params.range * kAttentionRange),
        rows_(params.tokens * params.group),
        partial_(params.partial, rows_),
        scores_(params.scratch),
        queries_(reinterpret_cast<Element*>(scores_ + rows_ * kAttentionRange)),
        widened_(reinterpret_cast<bf16*>(params.scratch +
                                         rows_ * (kAttentionRange + layout_.head_size))) {
    FindBlocks();
  }

  void Run() {
    for (std::size_t tile = 0; tile < tiles_; ++tile) Score(tile);
    for (std::size_t row = 0; row < rows_; ++row) SoftmaxRow(row);
    for (std::size_t i = 0; i < rows_ * layout_.head_size_padded; ++i) partial_.sums[i] = 0.0f;
    for (std::size_t tile = 0; tile < tiles_; ++tile) Sum(tile);
  }

 private:
  using V = typename A::V;
  using Element = typename A::Element;
  static constexpr std::size_t kBlocks = kAttentionRange / kKvBlock;
  // Memory answers late: this much of what comes next is always under way.
  static constexpr std::size_t kFetchedBytes = 8192, kTilesAheadMax = kRangeTiles;

  // The positions that a token sees, counted from the range's first: [begin, end), may be empty.
  std::size_t Begin(std::size_t token) const {
    const std::size_t end = p_.position + token + 1;
    const std::size_t first = p_.window == 0 || end < p_.window ? 0 : end - p_.window;
    return first > start_ ? first - start_ : 0;
  }
  std::size_t End(std::size_t token) const {
    const std::size_t end = p_.position + token + 1;
    if (end <= start_) return 0;
    return end - start_ < kAttentionRange ? end - start_ : kAttentionRange;
  }

  // The blocks of this range and the next, as far as the tokens reach. Pages follow each other as
  // the page table says; divisions are slow, so there is one.
  void FindBlocks() {
    const std::size_t last = (p_.position + p_.tokens - 1) / kKvBlock;
    const std::size_t first = start_ / kKvBlock, page_blocks = layout_.page_size / kKvBlock;
    const std::size_t head = p_.kv_head * layout_.block_bytes;
    const std::size_t step = layout_.kv_heads * layout_.block_bytes;
    std::size_t page = first / page_blocks, in_page = first - page * page_blocks;
    tiles_ = last - first < kBlocks ? (last - first) / kTileBlocks + 1 : kRangeTiles;
    const std::size_t tile_bytes = kTileBlocks * layout_.value_bytes;
    tiles_ahead_ = tile_bytes * kTilesAheadMax < kFetchedBytes ? kTilesAheadMax
                   : tile_bytes < kFetchedBytes                ? kFetchedBytes / tile_bytes
                                                               : 1;
    const std::uint8_t* block = nullptr;
    for (std::size_t i = 0; i < (tiles_ + kTilesAheadMax) * kTileBlocks; ++i) {
      if (first + i <= last) {
        block = p_.cache + static_cast<std::size_t>(p_.pages[page]) * layout_.page_bytes +
                in_page * step + head;
        if (++in_page == page_blocks) in_page = 0, ++page;
      }
      blocks_[i] = block;
    }
  }

  // What is read `kFetchedBytes` after the keys or values of a block: after the keys of all tiles
  // come the values, then the keys of the next range.
  const char* Ahead(std::size_t tile, std::size_t block, bool values) const {
    const std::size_t step = tile + (values ? tiles_ : 0) + tiles_ahead_;
    const std::size_t target = step < tiles_ ? step : step - tiles_;
    const bool of_values = step >= tiles_ && step < 2 * tiles_;
    return reinterpret_cast<const char*>(blocks_[target * kTileBlocks + block] +
                                         (of_values ? layout_.value_bytes : 0));
  }

  const float* Scales(std::size_t block, std::size_t which) const {
    return reinterpret_cast<const float*>(blocks_[block] + layout_.scale_bytes) + which * kKvBlock;
  }

  // Keys or values of blocks [begin, end) of a tile; what is read after them is fetched meanwhile.
  KvTile Tile(std::size_t tile, std::size_t begin, std::size_t end, bool values) {
    KvTile found{};
    const std::size_t first = tile * kTileBlocks, offset = values ? layout_.value_bytes : 0;
    const std::size_t elements = kKvBlock * (values ? layout_.head_size_padded : layout_.head_size);
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint8_t* block = blocks_[first + i];
      found.ahead[i] = Ahead(tile, i, values);
      found.element_bytes = layout_.dtype == KvCacheDtype::kBf16 ? sizeof(bf16) : 1;
      if (layout_.dtype == KvCacheDtype::kBf16) {
        found.blocks[i] = reinterpret_cast<const bf16*>(block + offset);
      } else {
        bf16* to = widened_ + i * kKvBlock * layout_.head_size_padded;
        A::Widen(reinterpret_cast<const std::int8_t*>(block + offset), elements, to);
        found.blocks[i] = to;
      }
    }
    return found;
  }

  void Score(std::size_t tile) {
    const std::size_t start = tile * kTilePositions, end = start + kTilePositions;
    std::size_t first = 0, last = p_.tokens;  // of the tokens that see something of the tile
    while (first < last && End(first) <= start) ++first;
    while (first < last && Begin(last - 1) >= end) --last;
    if (first == last) return;
    const std::size_t begin_block = Begin(first) > start ? (Begin(first) - start) / kKvBlock : 0;
    const std::size_t seen = End(last - 1) < end ? End(last - 1) - start : kTilePositions;
    const std::size_t end_block = (seen + kKvBlock - 1) / kKvBlock;
    const KvTile keys = Tile(tile, begin_block, end_block, false);
    const std::size_t head_size = layout_.head_size;
    bool fetch = true;
    ForPieces<A::kRows>(first * p_.group, last * p_.group, [&]<int Rows>(std::size_t row) {
      ForPieces<A::kVectors>(begin_block, end_block, [&]<int Blocks>(std::size_t block) {
        ScoreBlocks<A, Rows, Blocks>(queries_ + 2 * row, rows_, head_size, keys, block, fetch,
                                     scores_ + row * kAttentionRange + start);
      });
      fetch = false;
    });
  }

  void SoftmaxRow(std::size_t row) {
    const std::size_t token = row / p_.group, begin = Begin(token), end = End(token);
    if (begin >= end) {
      partial_.largest[row] = kNoScore;
      partial_.totals[row] = 0.0f;
      return;
    }
    ScoreRow scores{scores_ + row * kAttentionRange, begin, end, nullptr, nullptr};
    const float *key_scales[kBlocks], *value_scales[kBlocks];
    if (layout_.dtype == KvCacheDtype::kInt8) {
      for (std::size_t block = begin / kKvBlock; block * kKvBlock < end; ++block) {
        key_scales[block] = Scales(block, 0);
        value_scales[block] = Scales(block, 1);
      }
      scores.key_scales = key_scales;
      scores.value_scales = value_scales;
    }
    constexpr float kLogTwoE = 1.44269504f;
    Softmax<A>(scores, p_.scale * kLogTwoE, &partial_.largest[row], &partial_.totals[row]);
  }

  void Sum(std::size_t tile) {
    const std::size_t start = tile * kTilePositions, end = start + kTilePositions;
    const auto begin_of = [&](std::size_t token) {
      return Begin(token) > start ? Begin(token) - start : 0;
    };
    const auto end_of = [&](std::size_t token) {
      return End(token) < end ? End(token) - start : kTilePositions;
    };
    std::size_t first = 0, last = p_.tokens;
    while (first < last && End(first) <= start) ++first;
    while (first < last && Begin(last - 1) >= end) --last;
    if (first == last) return;
    KvTile values =
        Tile(tile, begin_of(first) / kKvBlock, (end_of(last - 1) + kKvBlock - 1) / kKvBlock, true);
    bool fetch = true;
    // Tokens that see the same positions are one product.
    for (std::size_t token = first; token < last;) {
      std::size_t next = token + 1;
      values.begin = begin_of(token);
      values.end = end_of(token);
      while (next < last && begin_of(next) == values.begin && end_of(next) == values.end) ++next;
      SumRows(values, tile, token * p_.group, next * p_.group, fetch);
      fetch = false;
      token = next;
    }
  }

  void SumRows(const KvTile& values, std::size_t tile, std::size_t begin, std::size_t end,
               bool fetch) {
    const std::size_t stride = layout_.head_size_padded;
    const auto* powers = reinterpret_cast<const Element*>(scores_) + tile * kTilePositions;
    ForPieces<A::kRows>(begin, end, [&]<int Rows>(std::size_t row) {
      ForPieces<A::kVectors>(0, stride / 16, [&]<int Vectors>(std::size_t vector) {
        SumBlocks<A, Rows, Vectors>(powers + row * kPowerStride<A>, values, stride, vector * 16,
                                    fetch, partial_.sums + row * stride);
      });
      fetch = false;
    });
  }

  const AttentionParams& p_;
  const KvLayout& layout_;
  const std::size_t start_, rows_;
  const PartialView<V> partial_;
  float* const scores_;
  Element* const queries_;
  bf16* const widened_;  // one tile, where elements are 8-bit integers
  const std::uint8_t* blocks_[kBlocks + kTilesAheadMax * kTileBlocks];
  std::size_t tiles_;  // that the last token reaches
  std::size_t tiles_ahead_;
};

// Queries of all rows to scratch, as pairs of dimensions: [head_size / 2][tokens · group].
template <class A>
void PackQueries(const AttentionParams& p) {
  const std::size_t rows = p.tokens * p.group, head_size = p.layout->head_size;
  auto* packed = reinterpret_cast<typename A::Element*>(p.scratch + rows * kAttentionRange);
  for (std::size_t row = 0; row < rows; ++row) {
    const bf16* q = p.q + row / p.group * p.q_stride + row % p.group * head_size;
    for (std::size_t d = 0; d < head_size; d += 2) {
      A::CopyPair(q + d, packed + d * rows + 2 * row);
    }
  }
}

template <class A>
void Attend(const AttentionParams& params) {
  RangeAttention<A>(params).Run();
}

template <class A>
constexpr AttentionKernels MakeAttention() {
  using V = typename A::V;
  return {.pack_queries = PackQueries<A>,
          .attend = Attend<A>,
          .fold = FoldPartial<V>,
          .finish = FinishPartial<V>,
          .append = AppendKv<V>};
}

}  // namespace megascale
