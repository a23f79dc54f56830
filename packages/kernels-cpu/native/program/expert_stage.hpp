#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/dispatch/kernel_table.hpp"
#include "program/gemm_runner.hpp"
#include "program/micro_batch.hpp"
#include "program/resident_experts.hpp"
#include "runtime/host_memory.hpp"
#include "runtime/op_profile.hpp"
#include "runtime/thread_pool.hpp"

namespace megascale {

// Rows of one bound slot; borrowed: the binding keeps them alive.
struct ExpertSlotMemory {
  const bf16* hidden;
  std::size_t hidden_rows;
  bf16* answers;
  std::size_t answer_rows;
};

// The arrays of core's ExpertInput.
struct ExpertRows {
  std::int64_t row_count;
  Int32View rows_per_expert, slot_index, hidden_row, answer_row;
};

// The expert stage of every layer: answers = down(silu(gate · x) ⊙ up · x), row by row. One caller
// at a time.
class ExpertStage {
 public:
  ExpertStage(std::shared_ptr<ThreadPool> pool, const KernelTable& kernels,
              const ExpertProgram& program);

  std::size_t hidden_size() const { return hidden_size_; }
  void BindSlots(std::vector<ExpertSlotMemory> slots) { slots_ = std::move(slots); }
  // Throws Failure ERR_SHAPE before any work.
  void Run(std::int64_t layer, const ExpertRows& rows);

  // `matrices`: gate and up as a pair, down. Returns the bytes they take, 0 where they are here.
  // Throws Failure, the stage being as before.
  std::size_t Load(std::int64_t layer, std::int64_t expert,
                   const std::vector<MatrixSource>& matrices);
  // Forgets an expert of one layer; returns the bytes it took.
  std::size_t Drop(std::int64_t layer, std::int64_t expert);

  OpProfile& profile() { return profile_; }
  std::size_t weight_bytes() const { return experts_.bytes(); }

 private:
  void CheckLayer(std::int64_t layer) const;
  void CheckExpert(std::int64_t expert) const;
  void Check(std::int64_t layer, const ExpertRows& rows) const;
  // Fills segments_ and returns their number.
  std::size_t AddSegments(std::size_t layer, const ExpertRows& rows);
  void Compute(std::size_t layer, const ExpertRows& rows);
  OpWork Work(std::size_t layer, const ExpertRows& rows) const;

  std::shared_ptr<ThreadPool> pool_;
  std::size_t layer_count_, expert_count_, hidden_size_, rows_max_;
  ResidentExperts experts_;
  GemmRunner gemm_;
  std::vector<ExpertSlotMemory> slots_;
  HostMemory inner_;  // [rows_max, width_max] bf16
  std::size_t width_max_;
  // Row pointers, [rows_max] each, and two segments per expert.
  std::vector<const bf16*> hidden_rows_, inner_in_;
  std::vector<void*> inner_out_, answer_rows_;
  std::vector<GemmSegment> segments_;
  OpProfile profile_;
};

}  // namespace megascale
