#include <algorithm>

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
  bf16* memory = kv_memory_.as<bf16>() + cache.offset;
  pool_->For(batch.tokens(), width, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t t = begin; t < end; ++t) {
      const auto position = static_cast<std::size_t>(batch.positions[t]);
      const auto page = static_cast<std::size_t>(batch.page_table(t)[position / layout.page_size]);
      const std::size_t block = position % layout.page_size / 16, lane = position % 16;
      bf16* to =
          memory + page * layout.page_elements + block * layout.kv_heads * layout.block_elements;
      for (std::size_t head = 0; head < layout.kv_heads; ++head, to += layout.block_elements) {
        const std::size_t from = t * width + head * layout.head_size;
        for (std::size_t d = 0; d < layout.head_size; ++d) to[d * 16 + lane] = keys[from + d];
        std::copy_n(values + from, layout.head_size,
                    to + layout.key_elements + lane * layout.head_size_padded);
      }
    }
  });
}

void AttentionStage::RunPagedAttention(const Op& op, std::size_t micro_batch) {
  const MicroBatch& batch = batches_[micro_batch].arrays;
  const KvCache& cache = kv_caches_[Index(op.table)];
  const KvLayout& layout = cache.layout;
  const std::size_t group = op.heads / layout.kv_heads, group_width = group * layout.head_size;
  const std::size_t width = op.heads * layout.head_size;
  const bf16* q = ValueOf<bf16>(op.x, micro_batch);
  bf16* out = ValueOf<bf16>(op.out, micro_batch);
  const auto attend = [&](std::size_t task, int thread) {
    const std::size_t token = task / layout.kv_heads, kv_head = task % layout.kv_heads;
    const auto position = static_cast<std::size_t>(batch.positions[token]);
    const std::size_t first = op.window == 0 || position < op.window ? 0 : position + 1 - op.window;
    kernels_.attend({.q = q + token * width + kv_head * group_width,
                     .out = out + token * width + kv_head * group_width,
                     .cache = kv_memory_.as<bf16>() + cache.offset,
                     .pages = batch.page_table(token),
                     .layout = layout,
                     .kv_head = kv_head,
                     .group = group,
                     .position = position,
                     .first_position = first,
                     .scale = op.scale,
                     .scratch = attention_scratch_[static_cast<std::size_t>(thread)].as<float>()});
  };
  const std::size_t tasks = batch.tokens() * layout.kv_heads;
  std::size_t positions_seen = 0;
  for (const std::int32_t position : batch.positions) {
    positions_seen += static_cast<std::size_t>(position) + 1;
  }
  if (!pool_->IsWorthForking(positions_seen * width / 8)) {
    for (std::size_t task = 0; task < tasks; ++task) attend(task, 0);
    return;
  }
  // Strided, because later tokens of a prompt see more positions than earlier ones.
  pool_->Run([&](int thread, int threads) {
    for (auto task = static_cast<std::size_t>(thread); task < tasks;
         task += static_cast<std::size_t>(threads)) {
      attend(task, thread);
    }
  });
}

}  // namespace megascale
