#include <atomic>

#include "program/attention_stage.hpp"

// The ops between the queries, keys, values and the output projection.
namespace megascale {
namespace {

std::size_t Index(int value) { return static_cast<std::size_t>(value); }

}  // namespace

void AttentionStage::RunRope(const Op& op, std::size_t micro_batch) {
  const MicroBatch& batch = batches_[micro_batch].arrays;
  const Rotary& rotary = rotaries_[Index(op.table)];
  const std::size_t width = value(op.x).width;
  const bf16* x = ValueOf<bf16>(op.x, micro_batch);
  bf16* out = ValueOf<bf16>(op.out, micro_batch);
  pool_->For(batch.tokens(), width / 4, [&](std::size_t begin, std::size_t end, int) {
    kernels_.rope({.x = x + begin * width,
                   .out = out + begin * width,
                   .positions = batch.positions.data() + begin,
                   .cosines = rotary.cosines.as<float>(),
                   .sines = rotary.sines.as<float>(),
                   .rows = end - begin,
                   .heads = op.heads,
                   .head_size = width / op.heads});
  });
}

void AttentionStage::RunKvAppend(const Op& op, std::size_t micro_batch) {
  const MicroBatch& batch = batches_[micro_batch].arrays;
  const KvCache& cache = kv_caches_[Index(op.table)];
  const KvLayout& layout = cache.layout;
  const std::size_t width = layout.kv_heads * layout.head_size;
  const bf16* keys = ValueOf<bf16>(op.x, micro_batch);
  const bf16* values = ValueOf<bf16>(op.y, micro_batch);
  std::uint8_t* memory = kv_memory_.as<std::uint8_t>() + cache.offset;
  pool_->For(batch.tokens(), width / 4, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t t = begin; t < end; ++t) {
      const auto position = static_cast<std::size_t>(batch.positions[t]);
      const auto page = static_cast<std::size_t>(batch.page_table(t)[position / layout.page_size]);
      kernels_.attention.append({.keys = keys + t * width,
                                 .values = values + t * width,
                                 .page = memory + page * layout.page_bytes,
                                 .position = position,
                                 .layout = &layout});
    }
  });
}

void AttentionStage::RunPagedAttention(const Op& op, std::size_t micro_batch) {
  const KvLayout& layout = kv_caches_[Index(op.table)].layout;
  const std::size_t group = op.heads / layout.kv_heads;
  const MicroBatch& batch = batches_[micro_batch].arrays;
  attention_plan_.Make(batch, {.kv_heads = layout.kv_heads,
                               .group = group,
                               .window = op.window,
                               .threads = static_cast<std::size_t>(pool_->threads())});
  const std::vector<AttentionTask>& tasks = attention_plan_.tasks();
  const std::size_t position_ns = layout.block_bytes / kKvBlock / 32 + 1;
  if (!pool_->IsWorthForking(attention_plan_.positions() * position_ns)) {
    for (const AttentionTask& task : tasks) RunAttentionTask(op, task, micro_batch, 0);
    return;
  }
  // Claimed one by one: some tasks are longer than others, and some threads slower.
  std::atomic<std::size_t> claimed{0};
  pool_->Run([&](int thread, int) {
    for (std::size_t task = claimed.fetch_add(1, std::memory_order_relaxed); task < tasks.size();
         task = claimed.fetch_add(1, std::memory_order_relaxed)) {
      RunAttentionTask(op, tasks[task], micro_batch, thread);
    }
  });
}

// One task from queries to output, or to a partial result; the last of a split's to the output.
void AttentionStage::RunAttentionTask(const Op& op, const AttentionTask& task,
                                      std::size_t micro_batch, int thread) {
  const MicroBatch& batch = batches_[micro_batch].arrays;
  const KvCache& cache = kv_caches_[Index(op.table)];
  const KvLayout& layout = cache.layout;
  const AttentionKernels& kernels = kernels_.attention;
  const std::size_t group = op.heads / layout.kv_heads, width = op.heads * layout.head_size;
  const std::size_t rows = task.tokens * group;
  const std::size_t column = task.token * width + task.kv_head * group * layout.head_size;
  float* scratch = attention_scratch_[Index(thread)].as<float>();
  float* partials = scratch + RoundUp(AttentionScratchFloats(rows, layout), 16);
  const std::size_t partial_floats = RoundUp(rows * (layout.head_size_padded + 2), 16);
  const auto slot = [&](std::size_t index) {
    return attention_slots_.as<float>() + index * attention_slot_floats_;
  };
  AttentionParams params{.q = ValueOf<bf16>(op.x, micro_batch) + column,
                         .q_stride = width,
                         .tokens = task.tokens,
                         .group = group,
                         .cache = kv_memory_.as<std::uint8_t>() + cache.offset,
                         .pages = batch.page_table(task.token),
                         .layout = &layout,
                         .kv_head = task.kv_head,
                         .position = static_cast<std::size_t>(batch.positions[task.token]),
                         .window = op.window,
                         .range = task.range_begin,
                         .scale = op.scale,
                         .scratch = scratch,
                         .partial = task.is_split ? slot(task.slot) : partials};
  PartialParams result{.partial = params.partial,
                       .next = partials + partial_floats,
                       .rows = rows,
                       .stride = layout.head_size_padded,
                       .out = ValueOf<bf16>(op.out, micro_batch) + column,
                       .out_stride = width,
                       .group = group,
                       .head_size = layout.head_size};
  kernels.attend(params);
  if (task.is_split) {
    AttentionSplit& split = attention_plan_.split(task.split);
    if (split.remaining.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    result.partial = slot(split.first_slot);
    for (std::size_t i = 1; i < split.slots; ++i) {
      result.next = slot(split.first_slot + i);
      kernels.fold(result);
    }
  } else {
    params.partial = partials + partial_floats;
    while (++params.range < task.range_end) {
      kernels.attend(params);
      kernels.fold(result);
    }
  }
  kernels.finish(result);
}

}  // namespace megascale
