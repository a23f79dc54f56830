#pragma once

#include <cstddef>

#include "runtime/bfloat16.hpp"

namespace megascale {

// A weight matrix [width, in_width] of the checkpoint, repacked once at load:
//
//   [panel_count][inner / 2][16 columns][2 k] bf16,  inner = in_width rounded up to 32, 64-byte
//   aligned
//
// A row of the checkpoint is a column here. Columns past `width` and k past `in_width` are zero, so
// no kernel has a tail. One layout serves every instruction set: a pair of k side by side is what
// TDPBF16PS wants, and a shift and a mask widen it elsewhere.
struct PackedMatrix {
  const bf16* panels = nullptr;
  std::size_t width = 0;
  std::size_t in_width = 0;
  std::size_t inner = 0;
  std::size_t panel_count = 0;
  // Two matrices of the same shape, panel by panel: even panels are the gate's, odd ones the up's.
  bool paired = false;

  std::size_t panel_stride() const { return inner * 16; }
};

}  // namespace megascale
