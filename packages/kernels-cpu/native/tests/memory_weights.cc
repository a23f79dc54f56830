#include "memory_weights.hpp"

#include <cmath>

namespace megascale::testing {

MemoryWeights::Matrix MemoryWeights::Add(Random& random, std::size_t rows, std::size_t columns) {
  const float scale = 1.7f / std::sqrt(static_cast<float>(columns));
  Tensor tensor{rows, columns, std::vector<bf16>(rows * columns)};
  for (bf16& value : tensor.values) value = FloatToBf16(random.Uniform() * scale);
  tensors_.push_back(std::move(tensor));
  return tensors_.size() - 1;
}

TensorSource MemoryWeights::source(Matrix matrix) const {
  const Tensor& tensor = tensors_[matrix];
  TensorSource source;
  source.memory = reinterpret_cast<const std::uint8_t*>(tensor.values.data());
  source.rows = tensor.rows;
  source.columns = tensor.columns;
  return source;
}

}  // namespace megascale::testing
