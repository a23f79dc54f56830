#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/attention/kv_layout.hpp"
#include "program/micro_batch.hpp"

namespace megascale {

// Rows (tokens × heads of a group) that share the reading of a tile.
constexpr std::size_t kAttentionRows = 32;

// What one thread does at a time: consecutive tokens of one sequence and one KV head over the
// ranges [range_begin, range_end).
struct AttentionTask {
  std::uint32_t token, tokens, kv_head;
  std::uint32_t range_begin, range_end;
  // Where ranges are shared out: which split this is one range of, and where its partial result
  // goes. The last thread to finish a range of a split folds them all.
  std::uint32_t split, slot;
  bool is_split;
};

// Ranges of one (tokens, KV head) that several threads compute.
struct AttentionSplit {
  std::uint32_t first_slot, slots;
  std::atomic<std::uint32_t> remaining;
};

struct AttentionShape {
  std::size_t kv_heads, group;
  std::size_t window;  // 0 = all positions
  std::size_t threads;
};

// Shares out the attention of a micro-batch by what has to be read. Who computes a range changes no
// result.
class AttentionPlan {
 public:
  // Memory for the largest batch, so that Make allocates nothing.
  void Reserve(std::size_t tokens_max, std::size_t kv_heads_max, std::size_t threads);
  void Make(const MicroBatch& batch, const AttentionShape& shape);

  const std::vector<AttentionTask>& tasks() const { return tasks_; }
  AttentionSplit& split(std::size_t index) { return splits_[index]; }
  // Positions read, over all tokens blocks and KV heads.
  std::size_t positions() const { return positions_; }

  // Partial results of split tasks; what would need more is not split.
  static constexpr std::size_t kSlotsMax = 4096;

 private:
  struct Unit {
    std::uint32_t token, tokens, range_begin, range_end;
  };
  void FindUnits(const MicroBatch& batch, const AttentionShape& shape);
  bool Split(const Unit& unit, const AttentionShape& shape);

  std::vector<Unit> units_;
  std::vector<AttentionTask> tasks_;
  std::unique_ptr<AttentionSplit[]> splits_;
  std::size_t splits_max_ = 0, split_count_ = 0, slots_ = 0, ranges_ = 0, positions_ = 0;
};

}  // namespace megascale
