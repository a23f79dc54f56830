#include "program/attention_stage.hpp"

// The ops that go row by row over activations.
namespace megascale {
namespace {

std::size_t Index(int value) { return static_cast<std::size_t>(value); }

}  // namespace

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

}  // namespace megascale
