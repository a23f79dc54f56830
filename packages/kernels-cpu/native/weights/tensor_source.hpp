#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace megascale {

// kInt8 and kInt4 are quantized matrices; their `scales` are plain.
enum class WeightType : std::uint8_t { kF32, kBf16, kF16, kInt8, kInt4 };

constexpr bool IsQuantized(WeightType type) {
  return type == WeightType::kInt8 || type == WeightType::kInt4;
}

// Where a tensor [rows, columns] of the checkpoint lies: in a file, or, where `memory` is set,
// already in memory.
struct TensorSource {
  std::string name;  // for messages
  std::string file;
  std::uint64_t offset = 0;
  const std::uint8_t* memory = nullptr;
  WeightType type = WeightType::kBf16;
  std::size_t rows = 0, columns = 0;
  // [rows, groups], of quantized types.
  std::shared_ptr<const TensorSource> scales;

  // Rows of 4-bit integers fill whole words of eight.
  std::size_t row_bytes() const {
    switch (type) {
      case WeightType::kF32:
        return columns * 4;
      case WeightType::kInt8:
        return columns;
      case WeightType::kInt4:
        return (columns + 7) / 8 * 4;
      default:
        return columns * 2;
    }
  }
  std::size_t bytes() const { return rows * row_bytes(); }
};

// One matrix, or two of one shape and type to be packed as a pair.
struct MatrixSource {
  std::vector<TensorSource> parts;
};

}  // namespace megascale
