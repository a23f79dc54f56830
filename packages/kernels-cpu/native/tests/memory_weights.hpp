#pragma once

#include <cstddef>
#include <deque>
#include <vector>

#include "data.hpp"
#include "weights/weight_store.hpp"

namespace megascale::testing {

// Random bf16 tensors in memory, as a checkpoint's would be. Values shrink with the square root of
// the columns, so that a product is about as large as its input.
class MemoryWeights {
 public:
  using Matrix = std::size_t;

  Matrix Add(Random& random, std::size_t rows, std::size_t columns);
  TensorSource source(Matrix matrix) const;
  double At(Matrix matrix, std::size_t row, std::size_t column) const {
    const Tensor& tensor = tensors_[matrix];
    return Bf16ToFloat(tensor.values[row * tensor.columns + column]);
  }

 private:
  struct Tensor {
    std::size_t rows, columns;
    std::vector<bf16> values;
  };
  std::deque<Tensor> tensors_;
};

}  // namespace megascale::testing
