#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "runtime/thread_pool.hpp"
#include "weights/packed_matrix.hpp"
#include "weights/tensor_source.hpp"
#include "weights/weight_store.hpp"

namespace megascale {

struct ExpertProgram {
  // Of those here from the start, layer by layer: gate and up as a pair, down.
  std::vector<MatrixSource> matrices;
  // [layers] those here from the start, ascending.
  std::vector<std::vector<std::size_t>> experts;
  // Of the model.
  std::size_t expert_count;
  std::size_t layer_count, hidden_size, width_max, rows_max;
};

// The weights of the experts that are here: those of the start in one allocation, those that came
// later in one for each layer. Experts come and go between runs.
class ResidentExperts {
 public:
  struct Weights {
    const PackedMatrix* gate_up = nullptr;
    const PackedMatrix* down = nullptr;
  };

  // Throws Failure ERR_SHAPE for experts that the program does not have.
  ResidentExperts(const ExpertProgram& program, ThreadPool& pool);

  // Null pointers where the expert is not here. Both are in range.
  const Weights& At(std::size_t layer, std::size_t expert) const {
    return places_[layer * expert_count_ + expert].weights;
  }
  // `matrices`: gate and up as a pair, down. Returns the bytes they take, 0 where they are here.
  std::size_t Load(std::size_t layer, std::size_t expert, const std::vector<MatrixSource>& matrices,
                   ThreadPool& pool);
  // Returns the bytes that it took; whole pages of them go back to the system.
  std::size_t Drop(std::size_t layer, std::size_t expert);

  // Of all that are here.
  std::size_t bytes() const { return bytes_; }
  const std::vector<PackedMatrix>& first_matrices() const { return first_.matrices(); }

 private:
  struct Place {
    Weights weights;
    std::unique_ptr<WeightStore> own;  // Null for those of the start.
  };

  std::size_t expert_count_;
  WeightStore first_;
  std::vector<Place> places_;  // [layers, expert_count]
  std::size_t bytes_ = 0;
};

// The bytes of a matrix's panels.
inline std::size_t PanelBytes(const PackedMatrix& matrix) {
  return matrix.panel_count * matrix.panel_bytes;
}

}  // namespace megascale
