#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/host_memory.hpp"
#include "runtime/mapped_bytes.hpp"
#include "runtime/thread_pool.hpp"
#include "weights/packed_matrix.hpp"

namespace megascale {

enum class WeightType : std::uint8_t { kF32, kBf16, kF16 };

// Where a tensor [rows, columns] of the checkpoint lies: in a file, or, where `memory` is set,
// already in memory.
struct TensorSource {
  std::string file;
  std::uint64_t offset = 0;
  const std::uint8_t* memory = nullptr;
  WeightType type = WeightType::kBf16;
  std::size_t rows = 0, columns = 0;

  std::size_t bytes() const {
    return rows * columns * (type == WeightType::kF32 ? sizeof(float) : sizeof(bf16));
  }
};

// One matrix, or two of one shape to be packed as a pair.
struct MatrixSource {
  std::vector<TensorSource> parts;
};

// A table that is read by row. It stays mapped; rows are converted when they are read.
class RowTable {
 public:
  explicit RowTable(const TensorSource& source);
  // Row `index` as f32 [columns].
  void Read(std::size_t index, float* out) const;
  std::size_t rows() const { return source_.rows; }
  std::size_t columns() const { return source_.columns; }

 private:
  TensorSource source_;
  std::unique_ptr<MappedBytes> mapped_;
  HostMemory copied_;
  const std::uint8_t* data_ = nullptr;
};

// All weights of one stage, in one allocation. Sources are mapped one after the other and unmapped
// as soon as they are packed.
class WeightStore {
 public:
  WeightStore(const std::vector<MatrixSource>& matrices, const std::vector<TensorSource>& vectors,
              ThreadPool& pool);

  const PackedMatrix& matrix(std::size_t index) const { return matrices_.at(index); }
  // [columns] f32.
  const float* vector(std::size_t index) const { return vectors_.at(index); }
  const std::vector<PackedMatrix>& matrices() const { return matrices_; }

 private:
  HostMemory memory_;
  std::vector<PackedMatrix> matrices_;
  std::vector<const float*> vectors_;
};

}  // namespace megascale
