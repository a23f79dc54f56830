#pragma once

#include <cstdint>

#include "weights/packed_matrix.hpp"
#include "weights/tensor_source.hpp"

namespace megascale {

// Up to 16 consecutive checkpoint rows, which become one panel.
struct PanelRows {
  WeightType type;
  const std::uint8_t* data;  // [count] rows of row_bytes
  std::size_t row_bytes, count;
  WeightType scale_type;       // of quantized types, as `scales`
  const std::uint8_t* scales;  // [count, groups]
};

// Fills one panel. Whatever the format, a panel is the transpose of 32-bit words: 16 words of 16
// rows at a time, in registers, so that packing runs at the speed of copying.
void PackPanel(const PanelRows& rows, const PackedMatrix& matrix, std::uint8_t* panel);

}  // namespace megascale
