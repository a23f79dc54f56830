#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/dispatch/kernel_table.hpp"

// Rows of activations as 8-bit integers: for each block of ActivationBlock(group) k,
//   scale = max |x| / 127, integer = x / scale rounded to nearest even, in [−127, 127].
// A block whose largest magnitude is below 2⁻¹⁰⁰ counts as zero; NaN or infinity in a block makes
// its scale NaN or infinite, and so the row's results. Plain loops that compilers turn into vectors
// of every width, with the same bits; `Unit` only keeps the copies of different files apart.
namespace megascale {

// One packed row: [inner rounded up to 64] integers (for kInt4 in the order of its lines), [blocks]
// f32 scales, [blocks] corrections: −offset · Σ integers of the block, because the weights are
// stored with an offset.
struct QuantizedRow {
  std::size_t block, blocks;
  std::size_t scales_at, corrections_at;  // bytes from the row's begin
  std::size_t bytes;                      // from one row to the next

  constexpr QuantizedRow(std::size_t inner, std::size_t group)
      : block(ActivationBlock(group)),
        blocks(inner / block),
        scales_at((inner + 63) / 64 * 64),
        corrections_at(scales_at + blocks * sizeof(float)),
        bytes((corrections_at + blocks * sizeof(std::int32_t) + 63) / 64 * 64) {}

  const float* scales(const std::uint8_t* row) const {
    return reinterpret_cast<const float*>(row + scales_at);
  }
  const std::int32_t* corrections(const std::uint8_t* row) const {
    return reinterpret_cast<const std::int32_t*>(row + corrections_at);
  }
};

// Adding it rounds a small f32 to a whole number and leaves that in the low bits: 1.5 · 2²³.
constexpr float kRounder = 12582912.0f;

// What a block is multiplied by, and its scale.
struct BlockScale {
  float inverse, scale;
};
static inline BlockScale ScaleOf(bf16 largest_magnitude) {
  const float largest = Bf16ToFloat(largest_magnitude);
  if (largest < 0x1p-100f) return {0.0f, 0.0f};
  return {127.0f / largest, largest / 127.0f};
}

// A whole block to integers at `to`; returns their sum.
template <class Unit>
std::int32_t QuantizeWholeBlock(const bf16* from, std::size_t block, float* scale,
                                std::int8_t* to) {
  // Magnitudes of bf16 are ordered as integers, NaN above all.
  bf16 largest = 0;
  for (std::size_t i = 0; i < block; ++i) {
    const auto magnitude = static_cast<bf16>(from[i] & 0x7fffu);
    largest = magnitude > largest ? magnitude : largest;
  }
  const BlockScale found = ScaleOf(largest);
  *scale = found.scale;
  std::int32_t sum = 0;
  for (std::size_t i = 0; i < block; ++i) {
    const float rounded = Bf16ToFloat(from[i]) * found.inverse + kRounder;
    std::uint32_t bits;
    std::memcpy(&bits, &rounded, sizeof bits);
    const auto integer = static_cast<std::int8_t>(bits & 0xffu);
    to[i] = integer;
    sum += integer;
  }
  return sum;
}

// `count` values from `from`, then zeros up to `block`. A Unit may have a quicker way to the same
// bits.
template <class Unit>
std::int32_t QuantizeBlock(const bf16* from, std::size_t count, std::size_t block, float* scale,
                           std::int8_t* to) {
  bf16 padded[128];
  if (count < block) {
    std::memset(padded, 0, sizeof padded);
    if (count > 0) std::memcpy(padded, from, count * sizeof(bf16));
    from = padded;
  }
  if constexpr (requires { Unit::QuantizeWholeBlock(from, block, scale, to); }) {
    return Unit::QuantizeWholeBlock(from, block, scale, to);
  } else {
    return QuantizeWholeBlock<Unit>(from, block, scale, to);
  }
}

// Of every eight integers the even ones, then the odd ones: the order of kInt4's lines.
template <class Unit>
void PutEvenFirst(std::int8_t* integers, std::size_t count) {
  typedef std::int8_t Bytes __attribute__((vector_size(16)));
  for (std::size_t i = 0; i < count; i += sizeof(Bytes)) {
    Bytes bytes;
    std::memcpy(&bytes, integers + i, sizeof bytes);
    bytes =
        __builtin_shufflevector(bytes, bytes, 0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    std::memcpy(integers + i, &bytes, sizeof bytes);
  }
}

template <class Unit, class Layout>
void PackQuantizedRows(const PackParams& p) {
  const QuantizedRow layout(p.inner, p.group);
  for (std::size_t r = 0; r < p.count; ++r) {
    std::uint8_t* row = static_cast<std::uint8_t*>(p.dst) + r * layout.bytes;
    auto* scales = reinterpret_cast<float*>(row + layout.scales_at);
    auto* corrections = reinterpret_cast<std::int32_t*>(row + layout.corrections_at);
    for (std::size_t b = 0; b < layout.blocks; ++b) {
      const std::size_t k = b * layout.block;
      const std::size_t left = k < p.width ? p.width - k : 0;
      const std::size_t count = left < layout.block ? left : layout.block;
      auto* integers = reinterpret_cast<std::int8_t*>(row + k);
      const std::int32_t sum = QuantizeBlock<Unit>(p.rows[r] + (count > 0 ? k : 0), count,
                                                   layout.block, scales + b, integers);
      if constexpr (Layout::kLineInner == 8) PutEvenFirst<Unit>(integers, layout.block);
      corrections[b] = -Layout::kOffset * sum;
    }
  }
}

}  // namespace megascale
