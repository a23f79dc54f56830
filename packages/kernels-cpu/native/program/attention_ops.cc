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
  const KvCache& cache = kv_caches_[Index(op.table)];
  attention_.Run(batches_[micro_batch].arrays,
                 {.q = ValueOf<bf16>(op.x, micro_batch),
                  .out = ValueOf<bf16>(op.out, micro_batch),
                  .cache = kv_memory_.as<std::uint8_t>() + cache.offset,
                  .layout = &cache.layout,
                  .group = op.heads / cache.layout.kv_heads,
                  .window = op.window,
                  .scale = op.scale});
}

}  // namespace megascale
