#include "program/attention_runner.hpp"

#include <algorithm>
#include <atomic>

namespace megascale {
namespace {

std::size_t PartialFloats(std::size_t rows, const KvLayout& layout) {
  return RoundUp(rows * (layout.head_size_padded + 2), 16);
}

std::size_t ScratchFloats(std::size_t rows, const KvLayout& layout) {
  return RoundUp(AttentionScratchFloats(rows, layout), 16);
}

}  // namespace

void AttentionRunner::Reserve(const KvLayout& layout, std::size_t group, std::size_t tokens_max) {
  const auto threads = static_cast<std::size_t>(pool_.threads());
  const std::size_t rows = std::max(group, kAttentionRows);
  kv_heads_ = std::max(kv_heads_, layout.kv_heads);
  plan_.Reserve(tokens_max, kv_heads_, threads);
  const std::size_t partial = PartialFloats(rows, layout);
  if (partial > slot_floats_) {
    slot_floats_ = partial;
    slots_ = HostMemory(AttentionPlan::kSlotsMax * partial * sizeof(float),
                        HostMemory::Pages::kSparse, "partial results of attention");
  }
  const std::size_t scratch = ScratchFloats(rows, layout) + 2 * partial;
  if (scratch <= scratch_floats_) return;
  scratch_floats_ = scratch;
  scratch_.clear();
  for (std::size_t thread = 0; thread < threads; ++thread) {
    scratch_.emplace_back(scratch * sizeof(float), HostMemory::Pages::kNormal, "attention scores");
  }
}

void AttentionRunner::Run(const MicroBatch& batch, const AttentionJob& job) {
  const KvLayout& layout = *job.layout;
  plan_.Make(batch, {.kv_heads = layout.kv_heads,
                     .group = job.group,
                     .window = job.window,
                     .threads = static_cast<std::size_t>(pool_.threads())});
  const std::vector<AttentionTask>& tasks = plan_.tasks();
  const std::size_t position_ns = layout.block_bytes / kKvBlock / 32 + 1;
  if (!pool_.IsWorthForking(plan_.positions() * position_ns)) {
    for (const AttentionTask& task : tasks) RunTask(batch, job, task, 0);
    return;
  }
  std::atomic<std::size_t> claimed{0};
  pool_.Run([&](int thread, int) {
    for (std::size_t task = claimed.fetch_add(1, std::memory_order_relaxed); task < tasks.size();
         task = claimed.fetch_add(1, std::memory_order_relaxed)) {
      RunTask(batch, job, tasks[task], static_cast<std::size_t>(thread));
    }
  });
}

// From queries to output, or to a partial result; the last task of a split goes on to the output.
void AttentionRunner::RunTask(const MicroBatch& batch, const AttentionJob& job,
                              const AttentionTask& task, std::size_t thread) {
  const KvLayout& layout = *job.layout;
  const std::size_t width = layout.kv_heads * job.group * layout.head_size;
  const std::size_t rows = task.tokens * job.group;
  const std::size_t column = task.token * width + task.kv_head * job.group * layout.head_size;
  float* scratch = scratch_[thread].as<float>();
  float* own_partial = scratch + ScratchFloats(rows, layout);
  float* next_partial = own_partial + PartialFloats(rows, layout);
  const auto slot = [&](std::size_t index) { return slots_.as<float>() + index * slot_floats_; };
  AttentionParams params{.q = job.q + column,
                         .q_stride = width,
                         .tokens = task.tokens,
                         .group = job.group,
                         .cache = job.cache,
                         .pages = batch.page_table(task.token),
                         .layout = &layout,
                         .kv_head = task.kv_head,
                         .position = static_cast<std::size_t>(batch.positions[task.token]),
                         .window = job.window,
                         .range = task.range_begin,
                         .scale = job.scale,
                         .scratch = scratch,
                         .partial = task.is_split ? slot(task.slot) : own_partial};
  PartialParams result{.partial = params.partial,
                       .next = next_partial,
                       .rows = rows,
                       .stride = layout.head_size_padded,
                       .out = job.out + column,
                       .out_stride = width,
                       .group = job.group,
                       .head_size = layout.head_size};
  kernels_.pack_queries(params);
  kernels_.attend(params);
  if (task.is_split) {
    AttentionSplit& split = plan_.split(task.split);
    if (split.remaining.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    result.partial = slot(split.first_slot);
    for (std::size_t i = 1; i < split.slots; ++i) {
      result.next = slot(split.first_slot + i);
      kernels_.fold(result);
    }
  } else {
    params.partial = next_partial;
    while (++params.range < task.range_end) {
      kernels_.attend(params);
      kernels_.fold(result);
    }
  }
  kernels_.finish(result);
}

}  // namespace megascale
