#include "program/attention_stage.hpp"

#include <algorithm>
#include <cmath>
#include <string>

#include "program/op_work.hpp"
#include "runtime/failure.hpp"

namespace megascale {

AttentionStage::AttentionStage(std::shared_ptr<ThreadPool> pool, const KernelTable& kernels,
                               AttentionProgram program, const AttentionSizes& sizes)
    : pool_(std::move(pool)),
      kernels_(kernels),
      program_(std::move(program)),
      sizes_(sizes),
      weights_(program_.matrices, program_.vectors, *pool_),
      gemm_(*pool_, kernels_, weights_.matrices()),
      attention_(*pool_, kernels_.attention) {
  CheckProgram();
  for (const TensorSource& table : program_.tables) tables_.emplace_back(table);
  for (const RotaryTable& table : program_.rotary_tables) FillRotary(table);
  AllocateKvCaches();
  AllocateScratch();
}

// The compiler on the other side is ours; this catches a mismatch of versions before it can touch
// memory.
void AttentionStage::CheckProgram() const {
  const auto check = [](int index, std::size_t count) {
    if (index < -1 || index >= static_cast<int>(count)) {
      throw ShapeFailure("The compiled program names entry " + std::to_string(index) + " of " +
                         std::to_string(count) +
                         ". Install the addon and the package in one version.");
    }
  };
  for (const std::vector<Op>& list : program_.lists) {
    for (const Op& op : list) {
      for (const int index : {op.x, op.y, op.out}) check(index, program_.values.size());
      check(op.bias, program_.vectors.size());
      const bool vector = op.code == OpCode::kRmsNorm, table = op.code == OpCode::kEmbed;
      check(op.weight, vector  ? program_.vectors.size()
                       : table ? program_.tables.size()
                               : program_.matrices.size());
      check(op.table,
            op.code == OpCode::kRope ? program_.rotary_tables.size() : program_.kv_caches.size());
    }
  }
  for (const Value& value : program_.values) {
    if (value.kind == ValueKind::kMessage) continue;
    check(static_cast<int>(value.buffer), value.kind == ValueKind::kState
                                              ? program_.state_row_bytes.size()
                                              : program_.scratch_row_bytes.size());
  }
}

void AttentionStage::FillRotary(const RotaryTable& table) {
  const std::size_t half = table.head_size / 2;
  const std::size_t bytes = sizes_.positions_max * half * sizeof(float);
  Rotary rotary{HostMemory(bytes, HostMemory::Pages::kHuge, "a rotary table"),
                HostMemory(bytes, HostMemory::Pages::kHuge, "a rotary table")};
  std::vector<float> frequencies(half);
  for (std::size_t i = 0; i < half; ++i) {
    const float exponent = static_cast<float>(2 * i) / static_cast<float>(table.head_size);
    frequencies[i] =
        1.0f / static_cast<float>(std::pow(table.theta, static_cast<double>(exponent)));
  }
  float* cosines = rotary.cosines.as<float>();
  float* sines = rotary.sines.as<float>();
  // The angle is a product in f32, as in the models' training code; its functions are taken in
  // double and rounded once.
  pool_->For(sizes_.positions_max, half * 40, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t position = begin; position < end; ++position) {
      for (std::size_t i = 0; i < half; ++i) {
        const double angle = static_cast<float>(position) * frequencies[i];
        cosines[position * half + i] = static_cast<float>(std::cos(angle));
        sines[position * half + i] = static_cast<float>(std::sin(angle));
      }
    }
  });
  rotaries_.push_back(std::move(rotary));
}

void AttentionStage::AllocateKvCaches() {
  std::size_t bytes = 0;
  for (const KvCacheSizes& cache : program_.kv_caches) {
    if (cache.head_size % 2 != 0) {
      throw ShapeFailure("The head size is " + std::to_string(cache.head_size) +
                         ", paged attention on a CPU needs an even one.");
    }
    const KvLayout layout =
        KvLayout::Of(sizes_.kv_dtype, cache.kv_heads, cache.head_size, sizes_.kv_page_size);
    kv_caches_.push_back({layout, bytes});
    bytes += sizes_.kv_page_count * layout.page_bytes;
  }
  kv_memory_ = HostMemory(bytes, HostMemory::Pages::kHuge, "KV pages");
}

void AttentionStage::AllocateScratch() {
  const auto rows = [&](std::size_t row_bytes, const char* purpose) {
    return HostMemory(sizes_.tokens_max * row_bytes, HostMemory::Pages::kHuge, purpose);
  };
  for (const std::size_t bytes : program_.scratch_row_bytes) {
    scratch_.push_back(rows(bytes, "values between ops"));
  }
  const MicroBatchLimits limits{sizes_.tokens_max, sizes_.positions_max, program_.vocab_size,
                                sizes_.kv_page_count, sizes_.kv_page_size};
  batches_.resize(sizes_.micro_batch_count);
  for (Batch& batch : batches_) {
    batch.arrays.Reserve(limits);
    for (const std::size_t bytes : program_.state_row_bytes) {
      batch.states.push_back(rows(bytes, "residuals"));
    }
  }
  std::size_t experts = 0, linears = 1;
  for (const std::vector<Op>& list : program_.lists) {
    for (const Op& op : list) {
      experts = std::max(experts, op.experts);
      if (op.code != OpCode::kPagedAttention) continue;
      const KvLayout& layout = kv_caches_[static_cast<std::size_t>(op.table)].layout;
      attention_.Reserve(layout, op.heads / layout.kv_heads, sizes_.tokens_max);
    }
    linears = std::max(linears, list.size());
  }
  router_logits_ = rows(experts * sizeof(float), "router logits");
  // Untouched rows cost no memory, so the largest batch is a matter of addresses only.
  logits_ = std::make_shared<HostMemory>(sizes_.tokens_max * program_.vocab_size * sizeof(float),
                                         HostMemory::Pages::kSparse, "logits");
  in_rows_.resize(sizes_.tokens_max);
  out_rows_.resize(sizes_.tokens_max * linears);
  segments_.resize(linears);
}

std::size_t AttentionStage::BatchIndex(std::int64_t micro_batch) const {
  if (micro_batch < 0 || micro_batch >= static_cast<std::int64_t>(batches_.size())) {
    throw ShapeFailure("Micro-batch " + std::to_string(micro_batch) +
                       " does not exist: there are " + std::to_string(batches_.size()) +
                       " (microBatchCount).");
  }
  return static_cast<std::size_t>(micro_batch);
}

void AttentionStage::CheckLayer(std::int64_t layer) const {
  if (layer < 0 || layer >= static_cast<std::int64_t>(program_.residuals.size())) {
    throw ShapeFailure("Layer " + std::to_string(layer) + " does not exist: the program has " +
                       std::to_string(program_.residuals.size()) + " routed layers.");
  }
}

void AttentionStage::CheckSlots() const {
  if (slots_.empty()) {
    throw ShapeFailure("No slots are bound. Call bindSlots once before the first embed.");
  }
}

AttentionStage::Batch& AttentionStage::EmbeddedBatch(std::int64_t micro_batch) {
  Batch& batch = batches_[BatchIndex(micro_batch)];
  if (!batch.embedded) {
    throw ShapeFailure("Micro-batch " + std::to_string(micro_batch) +
                       " has not been embedded. Call embed first.");
  }
  return batch;
}

void AttentionStage::Embed(std::int64_t micro_batch, const MicroBatchArrays& arrays) {
  CheckSlots();
  const std::size_t index = BatchIndex(micro_batch);
  const MicroBatchLimits limits{sizes_.tokens_max, sizes_.positions_max, program_.vocab_size,
                                sizes_.kv_page_count, sizes_.kv_page_size};
  batches_[index].arrays.Assign(arrays, limits);
  batches_[index].embedded = true;
  profile_.Enter(-1, micro_batch);
  RunList(0, index);
}

void AttentionStage::Attend(std::int64_t layer, std::int64_t micro_batch) {
  CheckLayer(layer);
  EmbeddedBatch(micro_batch);
  profile_.Enter(layer, micro_batch);
  RunList(static_cast<std::size_t>(layer) + 1, static_cast<std::size_t>(micro_batch));
}

void AttentionStage::Combine(std::int64_t layer, std::int64_t micro_batch) {
  CheckLayer(layer);
  const Batch& batch = EmbeddedBatch(micro_batch);
  const auto index = static_cast<std::size_t>(micro_batch);
  const AttentionSlotMemory& slot = slots_[index];
  const std::size_t top_k = program_.top_ks[static_cast<std::size_t>(layer)];
  const std::size_t width = program_.hidden_size;
  float* residual = ValueOf<float>(program_.residuals[static_cast<std::size_t>(layer)], index);
  const std::size_t tokens = batch.arrays.tokens();
  profile_.Enter(layer, micro_batch);
  const auto combine = [&](std::size_t begin, std::size_t end, int) {
    kernels_.combine({.residual = residual + begin * width,
                      .answers = slot.answers + begin * top_k * width,
                      .expert_ids = slot.expert_ids + begin * top_k,
                      .weights = slot.weights + begin * top_k,
                      .rows = end - begin,
                      .top_k = top_k,
                      .width = width});
  };
  profile_.Measure(
      ProfiledOp::kCombine, [&] { pool_->For(tokens, top_k * width / 8, combine); },
      [&] { return CombineWork(tokens, top_k, width); });
}

std::size_t AttentionStage::Logits(std::int64_t micro_batch) {
  const Batch& batch = EmbeddedBatch(micro_batch);
  profile_.Enter(-1, micro_batch);
  RunList(program_.lists.size() - 1, static_cast<std::size_t>(micro_batch));
  return batch.arrays.logits_rows.size();
}

}  // namespace megascale
