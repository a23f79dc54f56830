#pragma once

#include <cstdint>
#include <vector>

#include "runtime/host_memory.hpp"
#include "runtime/thread_pool.hpp"
#include "weights/packed_matrix.hpp"
#include "weights/tensor_source.hpp"

namespace megascale {

// All weights of one stage, in one allocation.
class WeightStore {
 public:
  WeightStore(const std::vector<MatrixSource>& matrices, const std::vector<TensorSource>& vectors,
              ThreadPool& pool);

  const PackedMatrix& matrix(std::size_t index) const { return matrices_.at(index); }
  const std::vector<PackedMatrix>& matrices() const { return matrices_; }
  // In all.
  std::size_t bytes() const { return memory_.bytes(); }
  // [columns] f32.
  const float* vector(std::size_t index) const { return vectors_.at(index); }
  // Gives the pages of a matrix of this store back to the system; what shares a page with others
  // stays. The matrix must not be read any more.
  void Release(const PackedMatrix& matrix);

 private:
  HostMemory memory_;
  std::vector<PackedMatrix> matrices_;
  std::vector<const float*> vectors_;
};

}  // namespace megascale
