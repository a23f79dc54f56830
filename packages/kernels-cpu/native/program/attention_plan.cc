#include "program/attention_plan.hpp"

#include <algorithm>

#include "kernels/dispatch/kernel_table.hpp"

namespace megascale {
namespace {

// A task that is more than this part of a thread's share is split, so that a slow thread is not
// waited for longer.
constexpr std::size_t kTasksPerThread = 16;

}  // namespace

void AttentionPlan::Reserve(std::size_t tokens_max, std::size_t kv_heads_max, std::size_t threads) {
  units_.reserve(tokens_max);
  tasks_.reserve(tokens_max * kv_heads_max + kSlotsMax);
  splits_max_ = std::min(kSlotsMax, kTasksPerThread * threads);
  splits_ = std::make_unique<AttentionSplit[]>(splits_max_);
}

void AttentionPlan::Make(const MicroBatch& batch, const AttentionShape& shape) {
  FindUnits(batch, shape);
  tasks_.clear();
  split_count_ = slots_ = 0;
  // The large ones first: what is claimed last should be small.
  for (Unit& unit : units_) {
    if (Split(unit, shape)) unit.tokens = 0;
  }
  for (const Unit& unit : units_) {
    if (unit.tokens == 0) continue;
    for (std::uint32_t head = 0; head < shape.kv_heads; ++head) {
      tasks_.push_back(
          {unit.token, unit.tokens, head, unit.range_begin, unit.range_end, 0, 0, false});
    }
  }
}

void AttentionPlan::FindUnits(const MicroBatch& batch, const AttentionShape& shape) {
  const std::size_t tokens_max = std::max<std::size_t>(1, kAttentionRows / shape.group);
  units_.clear();
  ranges_ = positions_ = 0;
  for (std::size_t token = 0; token < batch.tokens();) {
    std::size_t end = token + 1;
    while (end < batch.tokens() && end - token < tokens_max && batch.FollowsInSequence(end)) ++end;
    const auto first = static_cast<std::size_t>(batch.positions[token]);
    const auto last = static_cast<std::size_t>(batch.positions[end - 1]);
    const std::size_t seen =
        shape.window == 0 || first < shape.window ? 0 : first + 1 - shape.window;
    units_.push_back({static_cast<std::uint32_t>(token), static_cast<std::uint32_t>(end - token),
                      static_cast<std::uint32_t>(seen / kAttentionRange),
                      static_cast<std::uint32_t>(last / kAttentionRange + 1)});
    positions_ += (last + 1 - seen) * shape.kv_heads;
    ranges_ += (units_.back().range_end - units_.back().range_begin) * shape.kv_heads;
    token = end;
  }
}

// Makes the ranges of a unit tasks of their own if the unit is large beside the threads' shares.
bool AttentionPlan::Split(const Unit& unit, const AttentionShape& shape) {
  const std::size_t count = unit.range_end - unit.range_begin;
  if (shape.threads == 1 || count == 1 || count * kTasksPerThread * shape.threads <= ranges_ ||
      slots_ + count * shape.kv_heads > kSlotsMax || split_count_ + shape.kv_heads > splits_max_) {
    return false;
  }
  for (std::uint32_t head = 0; head < shape.kv_heads; ++head) {
    AttentionSplit& split = splits_[split_count_];
    split.first_slot = static_cast<std::uint32_t>(slots_);
    split.slots = static_cast<std::uint32_t>(count);
    split.remaining.store(split.slots, std::memory_order_relaxed);
    for (std::uint32_t range = unit.range_begin; range < unit.range_end; ++range) {
      tasks_.push_back({unit.token, unit.tokens, head, range, range + 1,
                        static_cast<std::uint32_t>(split_count_),
                        static_cast<std::uint32_t>(slots_++), true});
    }
    ++split_count_;
  }
  return true;
}

}  // namespace megascale
