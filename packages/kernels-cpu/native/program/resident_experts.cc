#include "program/resident_experts.hpp"

#include "runtime/failure.hpp"

namespace megascale {

ResidentExperts::ResidentExperts(const ExpertProgram& program, ThreadPool& pool)
    : expert_count_(program.expert_count),
      first_(program.matrices, {}, pool),
      places_(program.layer_count * program.expert_count) {
  std::size_t resident = 0;
  for (const std::vector<std::size_t>& of_layer : program.experts) resident += of_layer.size();
  if (program.experts.size() != program.layer_count || program.matrices.size() != resident * 2) {
    throw ShapeFailure(
        "The expert program lacks weights. Install the addon and the package in one version.");
  }
  std::size_t matrix = 0;
  for (std::size_t layer = 0; layer < program.layer_count; ++layer) {
    for (const std::size_t expert : program.experts[layer]) {
      if (expert >= expert_count_) {
        throw ShapeFailure("Expert " + std::to_string(expert) + " is not among the " +
                           std::to_string(expert_count_) + " of the model.");
      }
      const Weights weights{&first_.matrix(matrix), &first_.matrix(matrix + 1)};
      places_[layer * expert_count_ + expert].weights = weights;
      bytes_ += PanelBytes(*weights.gate_up) + PanelBytes(*weights.down);
      matrix += 2;
    }
  }
}

std::size_t ResidentExperts::Load(std::size_t layer, std::size_t expert,
                                  const std::vector<MatrixSource>& matrices, ThreadPool& pool) {
  Place& place = places_.at(layer * expert_count_ + expert);
  if (place.weights.down != nullptr) return 0;
  place.own = std::make_unique<WeightStore>(matrices, std::vector<TensorSource>{}, pool);
  place.weights = {&place.own->matrix(0), &place.own->matrix(1)};
  const std::size_t bytes = PanelBytes(*place.weights.gate_up) + PanelBytes(*place.weights.down);
  bytes_ += bytes;
  return bytes;
}

std::size_t ResidentExperts::Drop(std::size_t layer, std::size_t expert) {
  Place& place = places_.at(layer * expert_count_ + expert);
  if (place.weights.down == nullptr) return 0;
  const std::size_t bytes = PanelBytes(*place.weights.gate_up) + PanelBytes(*place.weights.down);
  if (place.own == nullptr) {
    first_.Release(*place.weights.gate_up);
    first_.Release(*place.weights.down);
  }
  place = Place{};
  bytes_ -= bytes;
  return bytes;
}

}  // namespace megascale
