#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/bfloat16.hpp"

namespace megascale {

// How the weights of a matrix are stored.
enum class WeightFormat : std::uint8_t { kBf16, kInt8, kInt4 };
constexpr std::size_t kWeightFormats = 3;

// A weight matrix [width, in_width] of the checkpoint, repacked once at load into panels of 16
// columns; a row of the checkpoint is a column here. Columns past `width` and k past `in_width` add
// nothing, so no kernel has a tail. A panel is made of lines of 64 bytes, 4 for each column:
//
//   kBf16  [panel_count][inner / 2] lines of [16 columns][2 k] bf16, inner = in_width rounded up to
//          32. One layout serves every instruction set: a pair of k side by side is what TDPBF16PS
//          and VDPBF16PS want, and a shift and a mask widen it elsewhere.
//   kInt8  lines of [16 columns][4 k] u8, the integer + 128: what VPDPBUSD and TDPBSUD want. Before
//          the lines of each group one line of their scales, [16 columns] f32.
//   kInt4  lines of [16 columns][8 k] 4-bit integers + 8, as in the checkpoint: byte b of a column
//          holds k = 2b in its low half and 2b + 1 in its high half. An AND and a shift make two
//          lines of kInt8's kind, of the even k and of the odd ones; rows of activations are
//          packed in this order. Before the lines of every two groups one line of their scales,
//          [2 groups][16 columns] bf16: at 32 k to a group, 4.5 bits for a weight and not 5.
//
// Weight = (stored integer − offset) · scale of its group and column. With one scale for a column,
// group = inner = in_width rounded up to 64; else inner = in_width, and group is a multiple of 32.
struct PackedMatrix {
  const std::uint8_t* panels = nullptr;
  WeightFormat format = WeightFormat::kBf16;
  std::size_t width = 0;
  std::size_t in_width = 0;
  std::size_t inner = 0;
  std::size_t panel_count = 0;
  // From one panel to the next.
  std::size_t panel_bytes = 0;
  // k that share one scale; `inner` where a column has one scale. Quantized formats only.
  std::size_t group = 0;
  // Two matrices of the same shape, panel by panel: even panels are the gate's, odd ones the up's.
  bool paired = false;
};

constexpr std::size_t kLineBytes = 64;

struct Int8Layout {
  static constexpr std::size_t kLineInner = 4;  // k of one line
  static constexpr std::size_t kGroupsPerScaleLine = 1;
  static constexpr std::int32_t kOffset = 128;
};

struct Int4Layout {
  static constexpr std::size_t kLineInner = 8;
  static constexpr std::size_t kGroupsPerScaleLine = 2;
  static constexpr std::int32_t kOffset = 8;
};

// Where the scales of group `index` begin in a panel.
template <class Layout>
static inline constexpr std::size_t ScaleOffset(std::size_t index, std::size_t group) {
  constexpr std::size_t kPerLine = Layout::kGroupsPerScaleLine;
  const std::size_t line = index / kPerLine;
  return line * kLineBytes * (1 + kPerLine * (group / Layout::kLineInner)) +
         index % kPerLine * (kLineBytes / kPerLine);
}

// Where the lines of group `index` begin in a panel.
template <class Layout>
static inline constexpr std::size_t GroupOffset(std::size_t index, std::size_t group) {
  return kLineBytes *
         (index / Layout::kGroupsPerScaleLine + 1 + index * (group / Layout::kLineInner));
}

template <class Layout>
static inline constexpr std::size_t QuantizedPanelBytes(std::size_t inner, std::size_t group) {
  constexpr std::size_t kPerLine = Layout::kGroupsPerScaleLine;
  const std::size_t scale_lines = (inner / group + kPerLine - 1) / kPerLine;
  return kLineBytes * (scale_lines + inner / Layout::kLineInner);
}

// k of a row of activations that share one scale: at most 128, which holds an outlier's harm to
// its neighbours, and a part of the weights' group, so that one sum of integers has two scales.
static inline constexpr std::size_t ActivationBlock(std::size_t group) {
  std::size_t block = 128;
  while (group % block != 0) block -= 32;
  return block;
}

}  // namespace megascale
