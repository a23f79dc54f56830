#include <algorithm>

#include "program/attention_stage.hpp"

// How each op of a program runs: which rows go to which kernel on which thread.
namespace megascale {
namespace {

std::size_t Index(int value) { return static_cast<std::size_t>(value); }

}  // namespace

void* AttentionStage::Address(int index, std::size_t micro_batch) {
  const Value& v = value(index);
  switch (v.kind) {
    case ValueKind::kScratch:
      return scratch_[v.buffer].data();
    case ValueKind::kState:
      return batches_[micro_batch].states[v.buffer].data();
    case ValueKind::kMessage:
      return slots_[micro_batch].hidden;
  }
  return nullptr;
}

void AttentionStage::RunList(std::size_t list, std::size_t micro_batch) {
  const std::vector<Op>& ops = program_.lists[list];
  for (std::size_t i = 0; i < ops.size();) {
    if (ops[i].code != OpCode::kLinear) {
      RunOp(ops[i++], micro_batch);
      continue;
    }
    // Linears of one input (queries, keys, values; gate and up) are one fork and join.
    std::size_t count = 1;
    while (i + count < ops.size() && ops[i + count].code == OpCode::kLinear &&
           ops[i + count].x == ops[i].x) {
      ++count;
    }
    RunLinears(&ops[i], count, micro_batch);
    i += count;
  }
}

void AttentionStage::RunOp(const Op& op, std::size_t micro_batch) {
  switch (op.code) {
    case OpCode::kEmbed:
      return RunEmbed(op, micro_batch);
    case OpCode::kRmsNorm:
      return RunRmsNorm(op, micro_batch);
    case OpCode::kLinear:
      return RunLinears(&op, 1, micro_batch);
    case OpCode::kRope:
      return RunRope(op, micro_batch);
    case OpCode::kKvAppend:
      return RunKvAppend(op, micro_batch);
    case OpCode::kPagedAttention:
      return RunPagedAttention(op, micro_batch);
    case OpCode::kAddTo:
      return RunAddTo(op, micro_batch);
    case OpCode::kSiluMultiply:
      return RunSiluMultiply(op, micro_batch);
    case OpCode::kRouter:
      return RunRouter(op, micro_batch);
    case OpCode::kLmHead:
      return RunLmHead(op, micro_batch);
  }
}

void AttentionStage::RunEmbed(const Op& op, std::size_t micro_batch) {
  const std::vector<std::int32_t>& ids = batches_[micro_batch].arrays.token_ids;
  const RowTable& table = tables_[Index(op.weight)];
  float* out = ValueOf<float>(op.out, micro_batch);
  pool_->For(ids.size(), table.columns() / 2, [&](std::size_t begin, std::size_t end, int) {
    for (std::size_t t = begin; t < end; ++t) {
      table.Read(static_cast<std::size_t>(ids[t]), out + t * table.columns());
    }
  });
}

void AttentionStage::RunRmsNorm(const Op& op, std::size_t micro_batch) {
  const Value& x = value(op.x);
  const char* from = ValueOf<char>(op.x, micro_batch);
  bf16* out = ValueOf<bf16>(op.out, micro_batch);
  const std::size_t row_bytes = x.width * (x.is_float ? sizeof(float) : sizeof(bf16));
  pool_->For(batches_[micro_batch].arrays.tokens(), x.width / 4,
             [&](std::size_t begin, std::size_t end, int) {
               kernels_.rms_norm({.x = from + begin * row_bytes,
                                  .x_is_float = x.is_float,
                                  .weight = weights_.vector(Index(op.weight)),
                                  .out = out + begin * x.width,
                                  .rows = end - begin,
                                  .groups = op.heads,
                                  .width = x.width / op.heads,
                                  .epsilon = op.epsilon});
             });
}

void AttentionStage::RunLinears(const Op* first, std::size_t count, std::size_t micro_batch) {
  const std::size_t tokens = batches_[micro_batch].arrays.tokens();
  const bf16* x = ValueOf<bf16>(first->x, micro_batch);
  const std::size_t in_width = value(first->x).width;
  for (std::size_t t = 0; t < tokens; ++t) in_rows_[t] = x + t * in_width;
  for (std::size_t i = 0; i < count; ++i) {
    const Op& op = first[i];
    bf16* out = ValueOf<bf16>(op.out, micro_batch);
    void** out_rows = out_rows_.data() + i * sizes_.tokens_max;
    for (std::size_t t = 0; t < tokens; ++t) out_rows[t] = out + t * value(op.out).width;
    segments_[i] = {.matrix = &weights_.matrix(Index(op.weight)),
                    .in = in_rows_.data(),
                    .out = out_rows,
                    .rows = tokens,
                    .epilogue = Epilogue::kActivation,
                    .bias = op.bias < 0 ? nullptr : weights_.vector(Index(op.bias))};
  }
  gemm_.Run(segments_.data(), count);
}

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

void AttentionStage::RunAddTo(const Op& op, std::size_t micro_batch) {
  const std::size_t width = value(op.y).width;
  float* into = ValueOf<float>(op.y, micro_batch);
  const bf16* x = ValueOf<bf16>(op.x, micro_batch);
  pool_->For(batches_[micro_batch].arrays.tokens(), width / 8,
             [&](std::size_t begin, std::size_t end, int) {
               kernels_.add({.count = (end - begin) * width,
                             .x = x + begin * width,
                             .y = nullptr,
                             .into = into + begin * width,
                             .out = nullptr});
             });
}

void AttentionStage::RunSiluMultiply(const Op& op, std::size_t micro_batch) {
  const std::size_t width = value(op.out).width;
  const bf16* gate = ValueOf<bf16>(op.x, micro_batch);
  const bf16* up = ValueOf<bf16>(op.y, micro_batch);
  bf16* out = ValueOf<bf16>(op.out, micro_batch);
  pool_->For(batches_[micro_batch].arrays.tokens(), width / 4,
             [&](std::size_t begin, std::size_t end, int) {
               kernels_.silu_multiply({.count = (end - begin) * width,
                                       .x = gate + begin * width,
                                       .y = up + begin * width,
                                       .into = nullptr,
                                       .out = out + begin * width});
             });
}

void AttentionStage::RunRouter(const Op& op, std::size_t micro_batch) {
  const std::size_t tokens = batches_[micro_batch].arrays.tokens();
  const std::size_t in_width = value(op.x).width;
  const bf16* x = ValueOf<bf16>(op.x, micro_batch);
  float* logits = router_logits_.as<float>();
  for (std::size_t t = 0; t < tokens; ++t) {
    in_rows_[t] = x + t * in_width;
    out_rows_[t] = logits + t * op.experts;
  }
  const GemmSegment segment{&weights_.matrix(Index(op.weight)),
                            in_rows_.data(),
                            out_rows_.data(),
                            tokens,
                            Epilogue::kFloat,
                            nullptr};
  gemm_.Run(&segment, 1);
  const AttentionSlotMemory& slot = slots_[micro_batch];
  pool_->For(tokens, op.experts * op.top_k, [&](std::size_t begin, std::size_t end, int) {
    kernels_.router({.logits = logits + begin * op.experts,
                     .rows = end - begin,
                     .stride = op.experts,
                     .experts = op.experts,
                     .top_k = op.top_k,
                     .score = op.sigmoid ? RouterScore::kSigmoid : RouterScore::kSoftmax,
                     .renormalise = op.renormalise,
                     .scale = op.scale,
                     .expert_ids = slot.expert_ids + begin * op.top_k,
                     .weights = slot.weights + begin * op.top_k});
  });
}

void AttentionStage::RunLmHead(const Op& op, std::size_t micro_batch) {
  const std::vector<std::int32_t>& rows = batches_[micro_batch].arrays.logits_rows;
  const std::size_t in_width = value(op.x).width;
  const bf16* x = ValueOf<bf16>(op.x, micro_batch);
  float* logits = logits_->as<float>();
  for (std::size_t r = 0; r < rows.size(); ++r) {
    in_rows_[r] = x + static_cast<std::size_t>(rows[r]) * in_width;
    out_rows_[r] = logits + r * program_.vocab_size;
  }
  const GemmSegment segment{&weights_.matrix(Index(op.weight)),
                            in_rows_.data(),
                            out_rows_.data(),
                            rows.size(),
                            Epilogue::kFloat,
                            nullptr};
  gemm_.Run(&segment, 1);
}

}  // namespace megascale
