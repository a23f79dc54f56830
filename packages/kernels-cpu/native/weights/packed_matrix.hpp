#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/bfloat16.hpp"

namespace megascale {

// How the weights of a matrix are stored.
enum class WeightFormat : std::uint8_t { kBf16, kInt8, kInt4 };
constexpr std::size_t kWeightFormats = 3;

// A weight matrix [width, in_width] of the checkpoint, repacked once at load into panels of 16
// columns; a row of the checkpoint is a column here. Columns past `width` and k past `in_width` are
// zero, so no kernel has a tail.
//
//   kBf16  [panel_count][inner / 2][16 columns][2 k] bf16, inner = in_width rounded up to 32,
//          64-byte aligned. One layout serves every instruction set: a pair of k side by side is
//          what TDPBF16PS and VDPBF16PS want, and a shift and a mask widen it elsewhere.
struct PackedMatrix {
  const std::uint8_t* panels = nullptr;
  WeightFormat format = WeightFormat::kBf16;
  std::size_t width = 0;
  std::size_t in_width = 0;
  std::size_t inner = 0;
  std::size_t panel_count = 0;
  // From one panel to the next.
  std::size_t panel_bytes = 0;
  // k that share one scale; `inner` where a column has one scale. Quantised formats only.
  std::size_t group = 0;
  // Two matrices of the same shape, panel by panel: even panels are the gate's, odd ones the up's.
  bool paired = false;
};

}  // namespace megascale
