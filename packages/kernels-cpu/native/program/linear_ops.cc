#include "program/attention_stage.hpp"

// The ops that multiply rows with a matrix.
namespace megascale {
namespace {

std::size_t Index(int value) { return static_cast<std::size_t>(value); }

}  // namespace

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
                     .renormalize = op.renormalize,
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
