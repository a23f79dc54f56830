#include "weights/weight_store.hpp"

#include "weights/matrix_layout.hpp"
#include "weights/weight_loader.hpp"

namespace megascale {

WeightStore::WeightStore(const std::vector<MatrixSource>& matrices,
                         const std::vector<TensorSource>& vectors, ThreadPool& pool) {
  std::size_t bytes = 0;
  std::vector<std::size_t> matrix_offsets, vector_offsets;
  for (const MatrixSource& source : matrices) {
    matrices_.push_back(LayOut(source));
    matrix_offsets.push_back(bytes);
    bytes += matrices_.back().panel_count * matrices_.back().panel_bytes;
  }
  for (const TensorSource& source : vectors) {
    vector_offsets.push_back(bytes);
    bytes += RoundUp(source.rows * source.columns * sizeof(float), 64);
  }
  memory_ = HostMemory(bytes, HostMemory::Pages::kHuge, "weights");

  WeightLoader loader;
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    std::uint8_t* const panels = memory_.as<std::uint8_t>() + matrix_offsets[i];
    matrices_[i].panels = panels;
    loader.Add(matrices[i], matrices_[i], panels);
  }
  loader.Load(pool);
  for (std::size_t i = 0; i < vectors.size(); ++i) {
    auto* out = reinterpret_cast<float*>(memory_.as<char>() + vector_offsets[i]);
    loader.ReadVector(vectors[i], out);
    vectors_.push_back(out);
  }
}

void WeightStore::Release(const PackedMatrix& matrix) {
  const auto offset = static_cast<std::size_t>(matrix.panels - memory_.as<std::uint8_t>());
  memory_.Release(offset, matrix.panel_count * matrix.panel_bytes);
}

}  // namespace megascale
