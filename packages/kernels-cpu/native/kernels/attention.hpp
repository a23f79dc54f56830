#pragma once

#include "kernels/attention_arithmetic.hpp"
#include "kernels/attention_products.hpp"
#include "kernels/attention_softmax.hpp"
#include "kernels/kv_append.hpp"

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
    for (std::size_t token = 0; token < p_.tokens; ++token) {
      A::Copy(p_.q + token * p_.q_stride, p_.group * layout_.head_size,
              queries_ + token * p_.group * layout_.head_size);
    }
    for (std::size_t tile = 0; tile < tiles_; ++tile) Score(tile);
    for (std::size_t row = 0; row < rows_; ++row) SoftenRow(row);
    for (std::size_t i = 0; i < rows_ * layout_.head_size_padded; ++i) partial_.sums[i] = 0.0f;
    for (std::size_t tile = 0; tile < tiles_; ++tile) Sum(tile);
  }

 private:
  using V = typename A::V;
  using Element = typename A::Element;
  static constexpr std::size_t kBlocks = kAttentionRange / kKvBlock;

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

  // The blocks of this range and of the first tile of the next, as far as the tokens reach. Pages
  // follow each other as the page table says; divisions are slow, so there is one.
  void FindBlocks() {
    const std::size_t last = (p_.position + p_.tokens - 1) / kKvBlock;
    const std::size_t first = start_ / kKvBlock, page_blocks = layout_.page_size / kKvBlock;
    const std::size_t head = p_.kv_head * layout_.block_bytes;
    const std::size_t step = layout_.kv_heads * layout_.block_bytes;
    std::size_t page = first / page_blocks, in_page = first - page * page_blocks;
    const std::uint8_t* block = nullptr;
    tiles_ = last - first < kBlocks ? (last - first) / kTileBlocks + 1 : kRangeTiles;
    for (std::size_t i = 0; i < kBlocks + kTileBlocks; ++i) {
      if (first + i <= last) {
        block = p_.cache + static_cast<std::size_t>(p_.pages[page]) * layout_.page_bytes +
                in_page * step + head;
        if (++in_page == page_blocks) in_page = 0, ++page;
      }
      blocks_[i] = block;
    }
  }

  const float* Scales(std::size_t block, std::size_t which) const {
    return reinterpret_cast<const float*>(blocks_[block] + layout_.scale_bytes) + which * kKvBlock;
  }

  // Keys or values of blocks [begin, end) of a tile; what is read after them is fetched meanwhile.
  KvTile Tile(std::size_t tile, std::size_t begin, std::size_t end, bool values) {
    KvTile found{};
    const std::size_t first = tile * kTileBlocks, offset = values ? layout_.value_bytes : 0;
    const std::size_t elements = kKvBlock * (values ? layout_.head_size_padded : layout_.head_size);
    const bool last = tile + 1 == tiles_;
    for (std::size_t i = begin; i < end; ++i) {
      const std::uint8_t* block = blocks_[first + i];
      // After the keys come the values, after the values the keys of the next range.
      const std::uint8_t* next = last && !values ? blocks_[i] + layout_.value_bytes
                                 : last          ? blocks_[kBlocks + i]
                                                 : blocks_[first + kTileBlocks + i] + offset;
      found.ahead[i] = reinterpret_cast<const char*>(next);
      if (layout_.dtype == KvDType::kBf16) {
        found.blocks[i] = reinterpret_cast<const bf16*>(block + offset);
      } else {
        bf16* to = widened_ + i * kKvBlock * layout_.head_size_padded;
        Widen<V>(reinterpret_cast<const std::int8_t*>(block + offset), elements, found.ahead[i],
                 to);
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
    bool fetch = layout_.dtype == KvDType::kBf16;
    ForPieces<A::kRows>(first * p_.group, last * p_.group, [&]<int Rows>(std::size_t row) {
      ForPieces<A::kVectors>(begin_block, end_block, [&]<int Blocks>(std::size_t block) {
        ScoreBlocks<A, Rows, Blocks>(queries_ + row * head_size, head_size, keys, block, fetch,
                                     scores_ + row * kAttentionRange + start);
      });
      fetch = false;
    });
  }

  void SoftenRow(std::size_t row) {
    const std::size_t token = row / p_.group, begin = Begin(token), end = End(token);
    if (begin >= end) {
      partial_.largest[row] = kNoScore;
      partial_.totals[row] = 0.0f;
      return;
    }
    ScoreRow scores{scores_ + row * kAttentionRange, begin, end, nullptr, nullptr};
    const float *key_scales[kBlocks], *value_scales[kBlocks];
    if (layout_.dtype == KvDType::kInt8) {
      for (std::size_t block = begin / kKvBlock; block * kKvBlock < end; ++block) {
        key_scales[block] = Scales(block, 0);
        value_scales[block] = Scales(block, 1);
      }
      scores.key_scales = key_scales;
      scores.value_scales = value_scales;
    }
    constexpr float kLogTwoE = 1.44269504f;
    Soften<A>(scores, p_.scale * kLogTwoE, &partial_.largest[row], &partial_.totals[row]);
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
    bool fetch = layout_.dtype == KvDType::kBf16;
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
    using Product = ValueProduct<A>;
    const std::size_t stride = layout_.head_size_padded;
    const auto* powers = reinterpret_cast<const Element*>(scores_) + tile * kTilePositions;
    ForPieces<A::kRows>(begin, end, [&]<int Rows>(std::size_t row) {
      const Product product{values, stride, fetch};
      ForPieces<A::kVectors>(0, stride / 16, [&]<int Vectors>(std::size_t vector) {
        product.template Add<Rows, Vectors>(powers + row * Product::kPowerStride, vector * 16,
                                            partial_.sums + row * stride);
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
  const std::uint8_t* blocks_[kBlocks + kTileBlocks];
  std::size_t tiles_;  // that the last token reaches
};

template <class A>
void Attend(const AttentionParams& params) {
  RangeAttention<A>(params).Run();
}

template <class A>
constexpr AttentionKernels MakeAttention() {
  using V = typename A::V;
  return {.attend = Attend<A>,
          .fold = FoldPartial<V>,
          .finish = FinishPartial<V>,
          .append = AppendKv<V>};
}

}  // namespace megascale
