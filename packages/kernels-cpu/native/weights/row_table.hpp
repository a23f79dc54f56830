#pragma once

#include <cstdint>
#include <memory>

#include "runtime/host_memory.hpp"
#include "runtime/mapped_bytes.hpp"
#include "weights/tensor_source.hpp"

namespace megascale {

// A table that is read by row. It stays mapped; rows are converted when they are read.
class RowTable {
 public:
  // Throws Failure ERR_SHAPE for a quantized table.
  explicit RowTable(const TensorSource& source);
  // Row `index` as f32 [columns].
  void Read(std::size_t index, float* out) const;
  std::size_t rows() const { return source_.rows; }
  std::size_t columns() const { return source_.columns; }
  std::size_t row_bytes() const { return source_.bytes() / source_.rows; }

 private:
  TensorSource source_;
  std::unique_ptr<MappedBytes> mapped_;
  HostMemory copied_;
  const std::uint8_t* data_ = nullptr;
};

}  // namespace megascale
