#include "program/expert_stage.hpp"

#include <string>

#include "program/op_work.hpp"
#include "runtime/failure.hpp"

namespace megascale {
namespace {

void CheckRow(const char* name, std::size_t index, std::int32_t row, std::size_t limit) {
  if (row >= 0 && static_cast<std::size_t>(row) < limit) return;
  throw ShapeFailure(std::string(name) + "[" + std::to_string(index) + "] is " +
                     std::to_string(row) + ", expected 0 ≤ value < " + std::to_string(limit) + ".");
}

}  // namespace

ExpertStage::ExpertStage(std::shared_ptr<ThreadPool> pool, const KernelTable& kernels,
                         const ExpertProgram& program)
    : pool_(std::move(pool)),
      layer_count_(program.layer_count),
      expert_count_(program.expert_count),
      hidden_size_(program.hidden_size),
      rows_max_(program.rows_max),
      experts_(program, *pool_),
      gemm_(*pool_, kernels, experts_.first_matrices()),
      inner_(program.rows_max * program.width_max * sizeof(bf16), HostMemory::Pages::kHuge,
             "the experts' inner rows"),
      width_max_(program.width_max),
      hidden_rows_(program.rows_max),
      inner_in_(program.rows_max),
      inner_out_(program.rows_max),
      answer_rows_(program.rows_max),
      segments_(2 * program.expert_count) {
  bf16* inner = inner_.as<bf16>();
  for (std::size_t row = 0; row < rows_max_; ++row) {
    inner_in_[row] = inner + row * width_max_;
    inner_out_[row] = inner + row * width_max_;
  }
}

std::size_t ExpertStage::Load(std::int64_t layer, std::int64_t expert,
                              const std::vector<MatrixSource>& matrices) {
  CheckLayer(layer);
  CheckExpert(expert);
  const auto at = static_cast<std::size_t>(layer), id = static_cast<std::size_t>(expert);
  const std::size_t bytes = experts_.Load(at, id, matrices, *pool_);
  gemm_.Fit(*experts_.At(at, id).gate_up);
  gemm_.Fit(*experts_.At(at, id).down);
  return bytes;
}

std::size_t ExpertStage::Drop(std::int64_t layer, std::int64_t expert) {
  CheckLayer(layer);
  CheckExpert(expert);
  return experts_.Drop(static_cast<std::size_t>(layer), static_cast<std::size_t>(expert));
}

void ExpertStage::CheckLayer(std::int64_t layer) const {
  if (layer >= 0 && layer < static_cast<std::int64_t>(layer_count_)) return;
  throw ShapeFailure("Layer " + std::to_string(layer) + " does not exist: the program has " +
                     std::to_string(layer_count_) + " routed layers.");
}

void ExpertStage::CheckExpert(std::int64_t expert) const {
  if (expert >= 0 && expert < static_cast<std::int64_t>(expert_count_)) return;
  throw ShapeFailure("Expert " + std::to_string(expert) + " is not among the " +
                     std::to_string(expert_count_) + " of the model.");
}

void ExpertStage::Check(std::int64_t layer, const ExpertRows& rows) const {
  if (slots_.empty()) {
    throw ShapeFailure("No slots are bound. Call bindSlots once before the first run.");
  }
  CheckLayer(layer);
  if (rows.row_count < 0 || rows.row_count > static_cast<std::int64_t>(rows_max_)) {
    throw ShapeFailure("rowCount is " + std::to_string(rows.row_count) + ", at most " +
                       std::to_string(rows_max_) + " rows are allowed (rowsMax).");
  }
  const auto count = static_cast<std::size_t>(rows.row_count);
  if (rows.rows_per_expert.size != expert_count_) {
    throw ShapeFailure("rowsPerExpert has " + std::to_string(rows.rows_per_expert.size) +
                       " entries, the model has " + std::to_string(expert_count_) + " experts.");
  }
  std::int64_t sum = 0;
  for (std::size_t e = 0; e < expert_count_; ++e) {
    CheckRow("rowsPerExpert", e, rows.rows_per_expert.data[e], rows_max_ + 1);
    sum += rows.rows_per_expert.data[e];
    const bool here = experts_.At(static_cast<std::size_t>(layer), e).down != nullptr;
    if (rows.rows_per_expert.data[e] > 0 && !here) {
      throw ShapeFailure("There are rows for expert " + std::to_string(e) + " in layer " +
                         std::to_string(layer) + ", which is not here. Load it first.");
    }
  }
  if (sum != rows.row_count) {
    throw ShapeFailure("rowsPerExpert adds up to " + std::to_string(sum) + ", rowCount is " +
                       std::to_string(rows.row_count) + ".");
  }
  for (const Int32View& list : {rows.slot_index, rows.hidden_row, rows.answer_row}) {
    if (list.size < count) {
      throw ShapeFailure("A row list has " + std::to_string(list.size) + " entries, rowCount is " +
                         std::to_string(count) + ".");
    }
  }
  for (std::size_t i = 0; i < count; ++i) {
    CheckRow("slotIndex", i, rows.slot_index.data[i], slots_.size());
    const auto& slot = slots_[static_cast<std::size_t>(rows.slot_index.data[i])];
    CheckRow("hiddenRow", i, rows.hidden_row.data[i], slot.hidden_rows);
    CheckRow("answerRow", i, rows.answer_row.data[i], slot.answer_rows);
  }
}

void ExpertStage::Run(std::int64_t layer, const ExpertRows& rows) {
  Check(layer, rows);
  const auto index = static_cast<std::size_t>(layer);
  profile_.Enter(layer, -1);
  profile_.Measure(
      ProfiledOp::kExperts, [&] { Compute(index, rows); }, [&] { return Work(index, rows); });
}

// Of the experts that have rows.
OpWork ExpertStage::Work(std::size_t layer, const ExpertRows& rows) const {
  OpWork work;
  for (std::size_t e = 0; e < expert_count_; ++e) {
    const auto expert_rows = static_cast<std::size_t>(rows.rows_per_expert.data[e]);
    if (expert_rows == 0) continue;
    const auto& [gate_up, down] = experts_.At(layer, e);
    work += ExpertWork(*gate_up, *down, expert_rows);
  }
  return work;
}

void ExpertStage::Compute(std::size_t layer, const ExpertRows& rows) {
  const auto count = static_cast<std::size_t>(rows.row_count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& slot = slots_[static_cast<std::size_t>(rows.slot_index.data[i])];
    hidden_rows_[i] =
        slot.hidden + static_cast<std::size_t>(rows.hidden_row.data[i]) * hidden_size_;
    answer_rows_[i] =
        slot.answers + static_cast<std::size_t>(rows.answer_row.data[i]) * hidden_size_;
  }
  gemm_.Run(segments_.data(), AddSegments(layer, rows));
}

// Gate and up of one expert, then of the next, then down of the first …: what an expert's down
// waits for was begun long before, and its rows have not yet left the caches.
std::size_t ExpertStage::AddSegments(std::size_t layer, const ExpertRows& rows) {
  std::size_t count = 0, row = 0;
  GemmSegment down{};
  for (std::size_t e = 0; e < expert_count_; ++e) {
    const auto expert_rows = static_cast<std::size_t>(rows.rows_per_expert.data[e]);
    if (expert_rows == 0) continue;
    const ResidentExperts::Weights& weights = experts_.At(layer, e);
    const std::size_t gate_up = count;
    segments_[count++] = {.matrix = weights.gate_up,
                          .in = hidden_rows_.data() + row,
                          .out = inner_out_.data() + row,
                          .rows = expert_rows,
                          .epilogue = Epilogue::kSwiglu,
                          .bias = nullptr};
    if (down.matrix != nullptr) segments_[count++] = down;
    down = {.matrix = weights.down,
            .in = inner_in_.data() + row,
            .out = answer_rows_.data() + row,
            .rows = expert_rows,
            .epilogue = Epilogue::kActivation,
            .bias = nullptr,
            .after = gate_up};
    row += expert_rows;
  }
  if (down.matrix != nullptr) segments_[count++] = down;
  return count;
}

}  // namespace megascale
