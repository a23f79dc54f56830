#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/bfloat16.hpp"
#include "weights/tensor_source.hpp"

namespace megascale {

// Element `index` of a row of F32, BF16 or F16.
static inline float ReadElement(WeightType type, const std::uint8_t* row, std::size_t index) {
  if (type == WeightType::kF32) {
    float value;
    std::memcpy(&value, row + index * sizeof value, sizeof value);
    return value;
  }
  std::uint16_t bits;
  std::memcpy(&bits, row + index * sizeof bits, sizeof bits);
  return type == WeightType::kBf16 ? Bf16ToFloat(bits) : HalfToFloat(bits);
}

static inline void ReadRow(WeightType type, const std::uint8_t* row, std::size_t columns,
                           float* out) {
  for (std::size_t i = 0; i < columns; ++i) out[i] = ReadElement(type, row, i);
}

}  // namespace megascale
