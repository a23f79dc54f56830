#include "program/op_work.hpp"

#include <algorithm>

namespace megascale {
namespace {

// Exponential, addition and division of silu; times up.
constexpr std::size_t kSwigluFlops = 4;

// Keys and values of one position, with their scales.
std::size_t PositionBytes(const KvLayout& kv) {
  const std::size_t vector_bytes =
      kv.dtype == KvCacheDtype::kInt8 ? kv.head_size + sizeof(float) : kv.head_size * sizeof(bf16);
  return 2 * kv.kv_heads * vector_bytes;
}

OpWork RouterWork(const Op& op, std::size_t tokens, const OpSizes& sizes) {
  const std::size_t scores = op.experts * (op.sigmoid ? 3 : 4);
  const std::size_t chosen =
      (op.renormalize ? 2 * op.top_k : 0) + (op.scale == 1.0f ? 0 : op.top_k);
  return {.weight_bytes = StoredBytes(*sizes.matrix),
          .flops = tokens * (2 * sizes.in_width * op.experts + scores + chosen)};
}

// Keys that are seen, and distinct keys per sequence: consecutive tokens of one page table share
// what they read.
OpWork AttentionWork(const Op& op, const MicroBatch& batch, const KvLayout& kv) {
  std::size_t seen = 0, read = 0;
  for (std::size_t t = 0; t < batch.tokens(); ++t) {
    const std::size_t keys = static_cast<std::size_t>(batch.positions[t]) + 1;
    const std::size_t visible = op.window == 0 ? keys : std::min(keys, op.window);
    const bool follows = t > 0 && batch.page_table_start[t] == batch.page_table_start[t - 1] &&
                         batch.positions[t] == batch.positions[t - 1] + 1;
    seen += visible;
    read += follows ? 1 : visible;
  }
  const std::size_t per_key = 4 * kv.head_size + 4;
  return {.kv_bytes = read * PositionBytes(kv),
          .flops = op.heads * (seen * per_key + batch.tokens() * kv.head_size)};
}

}  // namespace

std::uint64_t StoredBytes(const PackedMatrix& matrix) {
  return matrix.panel_count * matrix.panel_bytes;
}

OpWork WorkOf(const Op& op, const MicroBatch& batch, const OpSizes& sizes) {
  const std::size_t tokens = batch.tokens(), in = sizes.in_width, out = sizes.out_width;
  switch (op.code) {
    case OpCode::kEmbed:
      return {.weight_bytes = tokens * sizes.table_row_bytes};
    case OpCode::kRmsNorm:
      return {.weight_bytes = in / op.heads * sizeof(float),
              .flops = tokens * (4 * in + 4 * op.heads)};
    case OpCode::kLinear:
      return {.weight_bytes = StoredBytes(*sizes.matrix),
              .flops = tokens * (2 * in * out + (op.bias < 0 ? 0 : out))};
    case OpCode::kRope:
      return {.flops = tokens * 3 * in};
    case OpCode::kKvAppend:
      return {.kv_bytes = tokens * PositionBytes(*sizes.kv)};
    case OpCode::kPagedAttention:
      return AttentionWork(op, batch, *sizes.kv);
    case OpCode::kAddTo:
      return {.flops = tokens * in};
    case OpCode::kSiluMultiply:
      return {.flops = tokens * out * kSwigluFlops};
    case OpCode::kRouter:
      return RouterWork(op, tokens, sizes);
    case OpCode::kLmHead:
      return {.weight_bytes = batch.logits_rows.empty() ? 0 : StoredBytes(*sizes.matrix),
              .flops = batch.logits_rows.size() * 2 * in * sizes.matrix->width};
  }
  return {};
}

OpWork CombineWork(std::size_t tokens, std::size_t top_k, std::size_t width) {
  return {.flops = 2 * tokens * top_k * width};
}

OpWork ExpertWork(const PackedMatrix& gate_up, const PackedMatrix& down, std::size_t rows) {
  const std::size_t width = gate_up.width;
  return {.weight_bytes = StoredBytes(gate_up) + StoredBytes(down),
          .flops = rows * width * (6 * gate_up.in_width + kSwigluFlops)};
}

}  // namespace megascale
